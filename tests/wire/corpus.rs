use std::{fs, path::Path};

use teleport_tests::fuzz;

/// Runs the seeds of every fuzz target, as they are and with a byte changed at each place.
#[test]
fn fuzz_seeds_pass() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    for (name, target) in fuzz::TARGETS {
        let mut count = 0;
        for entry in fs::read_dir(seeds.join(name)).unwrap() {
            let data = fs::read(entry.unwrap().path()).unwrap();
            target(&data);
            for at in 0..data.len() {
                for change in [0x01, 0x80, 0xff] {
                    let mut changed = data.clone();
                    changed[at] ^= change;
                    target(&changed);
                }
                target(&data[..at]);
            }
            count += 1;
        }
        assert!(count > 0, "{name} has no seeds");
    }
}
