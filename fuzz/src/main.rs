//! Built by `fuzz/run`: libFuzzer round the target that `ZYRE_FUZZ_TARGET` names.
//!
//! Built by plain cargo it hands files to a target, one by one: `cargo run -p zyre-fuzz -- TARGET FILE...`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(
    init: {
        let target = target().expect("ZYRE_FUZZ_TARGET names a target");
        if let Some(folder) = std::env::var_os("ZYRE_FUZZ_SEEDS") {
            zyre_fuzz::corpus::write_seeds(target, folder.as_ref()).expect("the folder can be written");
        }
    },
    |data: &[u8]| -> libfuzzer_sys::Corpus {
        match target().filter(|target| data.len() <= target.max_len) {
            Some(target) => {
                (target.run)(data);
                libfuzzer_sys::Corpus::Keep
            }
            None => libfuzzer_sys::Corpus::Reject,
        }
    }
);

#[cfg(fuzzing)]
fn target() -> Option<&'static zyre_fuzz::Target> {
    static TARGET: std::sync::OnceLock<Option<&zyre_fuzz::Target>> = std::sync::OnceLock::new();
    *TARGET.get_or_init(|| zyre_fuzz::target(&std::env::var("ZYRE_FUZZ_TARGET").ok()?))
}

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    use zyre_fuzz::{TARGETS, target};
    let mut args = std::env::args().skip(1);
    let Some(target) = args.next().and_then(|name| target(&name)) else {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("usage: zyre-fuzz TARGET FILE...\ntargets: {}", names.join(" "));
        return std::process::ExitCode::from(2);
    };
    for path in args {
        match std::fs::read(&path) {
            Ok(data) => (target.run)(&data),
            Err(error) => {
                eprintln!("{path}: {error}");
                return std::process::ExitCode::FAILURE;
            }
        }
        println!("{path}: nothing found");
    }
    std::process::ExitCode::SUCCESS
}
