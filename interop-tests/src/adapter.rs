//! What the processes under test share: options as JSON in the first argument, commands as lines of JSON on standard input,
//! events as lines of JSON on standard output.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What such a process ends with.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Prints one event.
pub fn emit(line: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The options it was started with.
///
/// # Errors
/// When there are none, or they are not a JSON object.
pub fn options() -> Outcome<Map<String, Value>> {
    Ok(serde_json::from_str(&std::env::args().nth(1).ok_or("options missing")?)?)
}

/// The exit code; what went wrong is told as the event `DIED`.
pub fn exit(outcome: Outcome<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            emit(&json!({"event": "DIED", "error": error.to_string()}));
            ExitCode::FAILURE
        }
    }
}

/// The lines of standard input as they come; `None` when it has ended.
pub fn lines() -> UnboundedReceiver<String> {
    let (line_read, lines) = unbounded_channel();
    // A thread of its own, because a runtime that ends waits for a read of its own.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if line_read.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
