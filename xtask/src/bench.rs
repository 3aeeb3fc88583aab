//! `cargo xtask bench NAME`: benchmarks are built for release, or their figures mean nothing.

use crate::shell::{self, Done};
use std::{env, path::PathBuf};

const RUN: &[&str] =
    &["run", "--release", "--package", "kronika-bench", "--bin", "kronika-bench", "--"];

/// Leaves out what needs other stores.
const WITHOUT_PEERS: &str = "--without-peers";

/// Runs `kronika-bench` with the arguments as they are; for `log` the program with the other stores is built first.
pub(crate) fn run(arguments: &[&str]) -> Done {
    let mut passed: Vec<_> =
        arguments.iter().copied().filter(|one| *one != WITHOUT_PEERS).collect();
    let has = |name: &str| arguments.contains(&name);
    let peers;
    if arguments[0] == "log" && !(has(WITHOUT_PEERS) || has("--peers") || has("--help")) {
        peers = build_peers()?;
        passed.extend(["--peers", peers.as_str()]);
    }
    shell::run(&mut shell::cargo(&[RUN, &passed].concat()))
}

/// Builds `bench/peers`, which is no member of the workspace, and gives its program.
fn build_peers() -> Done<String> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let target = shell::root().join(target).join("peers");
    let mut build = shell::cargo(&["build", "--release", "--locked", "--quiet"]);
    build.args(["--manifest-path", "bench/peers/Cargo.toml", "--target-dir"]).arg(&target);
    shell::run(&mut build)?;
    let program = target.join("release").join("kronika-peers");
    let text = program.to_str().map(str::to_owned);
    text.ok_or_else(|| format!("{} is no UTF-8", program.display()))
}
