//! Nodes that only look, such as that of `zyre peers` itself: they say so by a header, and lists leave them out.

use zyre_rs::{Headers, Peer};

/// The header, and its value: whoever does not want to be listed may carry it, and another value takes it back.
pub(crate) const HEADER: &str = "X-ZYRE-HIDDEN";
pub(crate) const YES: &str = "1";

/// Whether a node with these headers does not want to be listed.
pub(crate) fn is_hiding(headers: &Headers) -> bool {
    headers.get(HEADER) == Some(YES)
}

/// Whether the peer is listed: by lists that show all, or because it does not hide.
pub(crate) fn is_listed(peer: &Peer, shows_all: bool) -> bool {
    shows_all || !is_hiding(&peer.headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_value_that_means_it_hides() {
        let headers = |value: &str| [(HEADER, value.to_owned())].into_iter().collect::<Headers>();
        assert!(is_hiding(&headers("1")));
        assert!(!is_hiding(&headers("0")) && !is_hiding(&headers("")) && !is_hiding(&Headers::default()));
    }
}
