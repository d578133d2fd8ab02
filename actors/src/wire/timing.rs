//! How long one message takes here: `cargo test --release -p zyre-actors timing -- --ignored --nocapture`.

use super::*;
use crate::Codec;
use crate::caller::CallId;
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::time::{Duration, Instant};

#[derive(Serialize, Deserialize)]
struct Add {
    a: i64,
    b: i64,
}

#[expect(clippy::disallowed_methods, reason = "the figures are what is asked for, no test depends on them")]
fn time<T>(what: &str, mut run: impl FnMut() -> T) {
    const RUNS: u32 = 1_000;
    // The best of many short ones: what the code takes, not what the machine did beside it.
    let best = (0..1_000)
        .map(|_| {
            let began = Instant::now();
            for _ in 0..RUNS {
                black_box(run());
            }
            began.elapsed() / RUNS
        })
        .min();
    println!("{what:40} {:>5} ns", best.unwrap_or_default().as_nanos());
}

#[test]
#[ignore = "takes a second and only prints figures"]
fn two_integer_calls() {
    let own = OwnId(Incarnation(0x7F3A_0123), CallId(123_456));
    let id = Id::from(own);
    let deadline = Meta { deadline: Some(Duration::from_millis(4_999)), ..Meta::default() };
    let limits = Limits::default();
    for codec in [Codec::Json, Codec::MessagePack] {
        println!("{codec:?}");
        let params = Body::encode(codec, &Add { a: 1, b: 2 }).expect("two integers");
        let result = Body::encode(codec, &3_i64).expect("an integer");
        let request = encode_request(&own, "calc.add", &params, &deadline);
        let response = encode_response(&id, &result);
        println!("{request:?}\n{response:?}");
        time("params: encode", || Body::encode(codec, black_box(&Add { a: 1, b: 2 })));
        time("request: encode", || encode_request(&own, "calc.add", black_box(&params), &deadline));
        time("request: decode", || decode(black_box(&request), &limits));
        time("request without _meta: decode", {
            let request = encode_request(&own, "calc.add", &params, &Meta::default());
            move || decode(black_box(&request), &limits)
        });
        time("params: decode", || black_box(&params).decode::<Add>());
        time("result: encode", || Body::encode(codec, black_box(&3_i64)));
        time("response: encode", || encode_response(&id, black_box(&result)));
        time("response: decode", || decode(black_box(&response), &limits));
        time("result: decode", || black_box(&result).decode::<i64>());
    }
    time("id: write", || Id::from(own));
    time("id: read", || parse_own(black_box(&id), own.0));
    let ordinary = zyre_rs::Message::from(format!("{{\"x\":1,\"pad\":\"{}\"}}", "y".repeat(200)));
    time("an ordinary whisper of 216 B: decode", || decode(black_box(&ordinary), &limits));
}
