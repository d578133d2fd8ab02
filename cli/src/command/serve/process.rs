//! A request answered by a shell command: parameters go in, the result comes out.
//!
//! The future owns the processes: dropped, since nobody waits for the answer any more, it kills them.

use crate::children::{Group, apart};
use serde_json::Value;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use zyre_actors::{Context, RpcError, code};

/// Most bytes of a result: what peers take of a message by default.
const MAX_RESULT: usize = 16 << 20;
/// Most bytes kept of what is said on standard error; the last line of it is wanted.
const MAX_SAID: usize = 4 << 10;

/// Runs the command for a request.
pub(super) async fn run(command: &str, params: &Value, context: &Context) -> Result<Value, RpcError> {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .env("ZYRE_PEER", context.peer().to_string())
        // A name is whatever a peer says; NUL cannot be in an environment.
        .env("ZYRE_PEER_NAME", context.name().replace('\0', "\u{fffd}"))
        .env("ZYRE_METHOD", context.method())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    match context.remaining() {
        Some(remaining) => shell.env("ZYRE_DEADLINE_MS", remaining.as_millis().to_string()),
        // Not the one of whoever has started this.
        None => shell.env_remove("ZYRE_DEADLINE_MS"),
    };
    let mut child =
        apart(&mut shell).spawn().map_err(|error| internal(format!("cannot start a shell: {error}")))?;
    let group = Group::of(&child);
    let (input, output, said) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut input) = input {
            // A command need not read its parameters.
            _ = input.write_all(format!("{params}\n").as_bytes()).await;
        }
    };
    let ((), result, said, status) = tokio::join!(feed, all(output), tail(said), child.wait());
    let status = status.map_err(|error| internal(format!("cannot wait for the command: {error}")))?;
    let result = result.map_err(|error| internal(format!("cannot read the command's output: {error}")))?;
    group.release();
    // First, since a command that is not read to its end dies of that.
    if result.len() > MAX_RESULT {
        return Err(internal(format!("the command has printed more than {MAX_RESULT} bytes")));
    }
    if !status.success() {
        return Err(failed(status, &said));
    }
    Ok(value(&result))
}

fn internal(message: String) -> RpcError {
    RpcError::new(code::INTERNAL_ERROR, message)
}

/// JSON if it is that, else text; bytes that are no UTF-8 are replaced.
fn value(printed: &[u8]) -> Value {
    serde_json::from_slice(printed).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(printed);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        Value::String(text.strip_suffix('\r').unwrap_or(text).to_owned())
    })
}

fn failed(status: ExitStatus, said: &[u8]) -> RpcError {
    let said = String::from_utf8_lossy(said);
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    let message = last.map_or_else(|| format!("the command failed ({status})"), str::to_owned);
    RpcError::new(status.code().map_or(code::APPLICATION, i64::from), message)
}

/// Everything, up to one byte more than a result may have.
async fn all(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut read = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(MAX_RESULT as u64 + 1).read_to_end(&mut read).await?;
    }
    Ok(read)
}

/// The end of it.
async fn tail(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let (mut kept, mut part) = (Vec::new(), [0; MAX_SAID]);
    let Some(mut pipe) = pipe else { return kept };
    while let Ok(length @ 1..) = pipe.read(&mut part).await {
        kept.extend_from_slice(part.get(..length).unwrap_or_default());
        kept.drain(..kept.len().saturating_sub(MAX_SAID));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_printed_is_json_or_else_text_without_its_last_line_end() {
        for (printed, result) in [
            ("3\n", json!(3)),
            ("{\"a\":\n[1]}\n", json!({"a": [1]})),
            ("hello world\n", json!("hello world")),
            ("two\nlines\n\n", json!("two\nlines\n")),
            ("crlf\r\n", json!("crlf")),
            ("", json!("")),
            ("1 2\n", json!("1 2")),
        ] {
            assert_eq!(value(printed.as_bytes()), result, "{printed:?}");
        }
        assert_eq!(value(b"\xff\n"), json!("\u{fffd}"));
    }

    #[tokio::test]
    async fn of_a_long_text_the_end_is_kept() {
        let long: Vec<u8> = (0..100_000_u32).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        let kept = tail(Some(&long[..])).await;
        assert_eq!(kept.len(), MAX_SAID);
        assert!(long.ends_with(&kept));
    }

    #[cfg(unix)]
    #[test]
    fn a_failure_has_the_exit_code_and_the_last_line_said() {
        use std::os::unix::process::ExitStatusExt;
        let error = failed(ExitStatus::from_raw(3 << 8), b"first\nno such page \n\n");
        assert_eq!(error, RpcError::new(3, "no such page"));
        let killed = failed(ExitStatus::from_raw(9), b"");
        assert_eq!(killed.code, code::APPLICATION);
        assert!(killed.message.contains("signal: 9"), "{}", killed.message);
    }
}
