//! The `teleport` command.

mod args;
mod call;
mod client;
mod exit;
mod hex;
mod listen;
mod output;
mod push;
mod serve;
mod show;
mod tap;
mod wire;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

use args::{Args, Command, WireArgs};
use exit::Failure;
use output::Lines;
use show::Failed;

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Call(args) => call::run(&args),
        Command::Push(args) => push::run(&args),
        Command::Listen(args) => listen::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Wire(args) => run_wire(&args),
    }
}

fn run_wire(args: &WireArgs) -> ExitCode {
    match wire::run(args, io::stdin().lock(), io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "teleport: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the last line, if there is one, and gives the exit code.
fn end(result: Result<(), Failure>, lines: &Lines) -> ExitCode {
    let code = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            lines.say(match &failure {
                Failure::Usage(text) => format!("error: {text}\n").into_bytes(),
                Failure::Error { error, .. } => show::line(&Failed(error)),
            });
            failure.code()
        }
    };
    lines.finish(None);
    code
}
