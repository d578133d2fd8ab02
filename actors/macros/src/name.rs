//! What a method may be called on the wire.

use syn::{Error, LitStr};

/// Leaves room for `svc/` and `pool/` in a group name, which ends at 255 bytes.
const MAX_LEN: usize = 200;

/// Refuses a name that no service could be reached under, saying why and what a right one looks like.
pub(crate) fn check(name: &LitStr) -> syn::Result<()> {
    let text = name.value();
    let fault = if text.is_empty() {
        "is empty".to_owned()
    } else if text.len() > MAX_LEN {
        format!("has {} bytes, the most is {MAX_LEN}", text.len())
    } else if let Some(wrong) = text.chars().find(|&c| !is_allowed(c)) {
        format!("contains {wrong:?}; letters, digits and `_ . / -` are allowed")
    } else if text.split('.').any(str::is_empty) {
        "has a dot with nothing before or after it".to_owned()
    } else if text.starts_with("rpc.") {
        "begins with `rpc.`, which is kept for the methods that every node has".to_owned()
    } else {
        return Ok(());
    };
    let message = format!(
        "this wire name {fault}; a name is `service.method` or one word, such as `calc.add` or `echo`"
    );
    Err(Error::new_spanned(name, message))
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-')
}
