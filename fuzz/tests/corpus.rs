//! Every committed input is replayed, and mutated a little; the same in every run.
//!
//! `LONG=1` mutates fifty times as much. The long run with coverage is `fuzz/run`.

#![expect(clippy::expect_used, reason = "a missing target fails the test")]

use zyre_fuzz::mutator::{Random, mutate};
use zyre_fuzz::{TARGETS, corpus, target};

/// Most bytes of committed inputs, all targets together.
const MAX_CORPUS: usize = 2 << 20;

fn replay(name: &str) {
    let target = target(name).expect("a target");
    for (path, input) in corpus::inputs(target) {
        println!("{path}");
        (target.run)(&input);
    }
}

fn smoke(name: &str) {
    let target = target(name).expect("a target");
    let inputs: Vec<_> = corpus::inputs(target).into_iter().map(|(_, input)| input).collect();
    let dictionary = corpus::dictionary(target);
    let long = std::env::var_os("LONG").is_some_and(|long| long == "1");
    let runs = if long { 50 * target.smoke_runs } else { target.smoke_runs };
    for run in 0..runs {
        let mut random = Random::new(run.into());
        let mut input = inputs.get(random.below(inputs.len())).cloned().unwrap_or_default();
        mutate(&mut input, &inputs, &dictionary, target.max_len, &mut random);
        let _shown = Shown(name, &input);
        (target.run)(&input);
    }
}

/// Says which input it was, if the test panics.
struct Shown<'a>(&'a str, &'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let Self(name, input) = *self;
        let path = std::env::temp_dir().join(format!("zyre-fuzz-{name}-{}", std::process::id()));
        match std::fs::write(&path, input) {
            Ok(()) => eprintln!("replay it: cargo run -p zyre-fuzz -- {name} {}", path.display()),
            Err(error) => eprintln!("{error}; the input was {input:?}"),
        }
    }
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[test]
            fn its_corpus_finds_nothing() {
                super::replay(stringify!($name));
            }

            #[test]
            fn its_corpus_mutated_finds_nothing() {
                super::smoke(stringify!($name));
            }
        })*

        #[test]
        fn every_target_is_tested_here() {
            let tested = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|target| target.name), tested);
        }
    };
}

targets!(
    beacon,
    endpoint,
    message,
    zmtp_stream,
    ready,
    curve_server,
    curve_client,
    hello_limits,
    rpc_envelope,
    gossip,
    core,
    session,
    key_file,
);

#[test]
fn the_committed_corpus_is_small() {
    let sizes = TARGETS.iter().flat_map(corpus::inputs).map(|(_, input)| input.len());
    let size: usize = sizes.sum();
    assert!(size <= MAX_CORPUS, "{size} bytes");
}
