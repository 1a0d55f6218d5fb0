//! The README says what happens.

use crate::support::{Server, run};

#[test]
fn the_examples_of_the_readme_are_true() {
    let server = Server::start();
    let (_, port) = server.address.rsplit_once(':').unwrap();
    let port = format!(":{port}");
    let text = include_str!("../../README.md").replace(":9090", &port);
    let (_, examples) = text.split_once("```console\n").unwrap();
    let (examples, _) = examples.split_once("```").unwrap();

    let mut code = 0;
    let mut count = 0;
    for example in examples.split("$ ").skip(1) {
        let (command, due) = example.split_once('\n').unwrap();
        let printed = if command == "echo $?" {
            format!("{code}\n")
        } else {
            let words = words(command);
            assert_eq!(words[0], "teleport", "{command}");
            let run = run(&words[1..]);
            code = run.code;
            let mut printed = String::from_utf8(run.stdout).unwrap();
            for line in run.stderr {
                if !printed.is_empty() && !printed.ends_with('\n') {
                    printed.push('\n');
                }
                printed.push_str(&line);
            }
            printed
        };
        let (printed, due) = (printed.trim_end(), due.trim_end());
        // What two dots stand for is different every time.
        let matches = match due.split_once("..") {
            Some((front, back)) => printed.starts_with(front) && printed.ends_with(back),
            None => printed == due,
        };
        assert!(matches, "{command}\nprints\n{printed}\nand not\n{due}");
        count += 1;
    }
    assert_eq!(count, 12);
}

/// Splits a command as a shell does, as far as single quotes go.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}
