//! The implementation that the macro writes.

use crate::attributes::{Attributes, as_result};
use crate::mirror;
use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Type};

/// Writes `impl RemoteMessage` or says what is wrong with the input.
pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    if let Data::Union(union) = &input.data {
        return Err(Error::new_spanned(
            union.union_token,
            "a union cannot travel: use a struct, or an enum for alternatives",
        ));
    }
    if !input.generics.params.is_empty() {
        let message = "a wire name stands for one type: derive it for a type without parameters that owns its data, \
                       such as one struct for each type that is sent";
        return Err(Error::new_spanned(&input.generics.params, message));
    }
    let Attributes { name, idempotent, code, output } = Attributes::of(input)?;

    let message = &input.ident;
    let (_, _, where_clause) = input.generics.split_for_impl();
    let output =
        output.map_or_else(|| quote!(()), |output| without_self(output.into_token_stream(), message));
    let outcome = Outcome::of(output.clone())?;
    let Outcome { reply, error, into_result, check } = outcome;
    let error_code = code.map(|code| {
        // The type first: a function that takes something else is told what is wanted, at its own name.
        let checked = quote_spanned!(code.span()=> let code: fn(&#error) -> i64 = #code;);
        quote! {
            fn error_code(error: &Self::Error) -> i64 {
                #checked
                code(error)
            }
        }
    });
    let params = mirror::params(input);
    let own = mirror::describe(&quote!(__Own), &quote!(#message));
    let answer = mirror::describe(&quote!(__Reply), &reply);

    Ok(quote! {
        #[allow(deprecated, unused_imports, unused_qualifications, reason = "written by a macro")]
        const _: () = {
            use ::zyre_actors::__private::{NotResult as _, Undescribed as _};
            #check
            #own
            #answer
            #params

            #[automatically_derived]
            impl ::zyre_actors::RemoteMessage for #message #where_clause {
                const METHOD: &'static str = #name;
                const IDEMPOTENT: bool = #idempotent;
                type Output = #output;
                type Reply = #reply;
                type Error = #error;

                fn into_result(
                    output: Self::Output,
                ) -> ::core::result::Result<Self::Reply, Self::Error> {
                    #into_result
                }

                #error_code

                fn schema() -> ::zyre_actors::MethodSchema {
                    ::zyre_actors::__private::schema::<__Own, __Params, __Reply>()
                }
            }
        };
    })
}

/// What follows from the type that handlers return.
struct Outcome {
    reply: TokenStream,
    error: TokenStream,
    into_result: TokenStream,
    check: Option<TokenStream>,
}

impl Outcome {
    fn of(output: TokenStream) -> syn::Result<Self> {
        let ty: Type = syn::parse2(output.clone())?;
        if let Some((reply, error)) = as_result(&ty) {
            let (reply, error) = (reply.to_token_stream(), error.to_token_stream());
            return Ok(Self { reply, error, into_result: quote!(output), check: None });
        }
        // An alias would travel as `{"Ok": …}`, and its errors as successes.
        let message = "this result is an alias of `Result`: \
                       write it as `Result<T, E>`, so that its error reaches the caller as an error";
        let check = quote_spanned! {ty.span()=>
            const _: () = ::core::assert!(!::zyre_actors::__private::Probe::<#output>::IS_RESULT, #message);
        };
        Ok(Self {
            reply: output,
            error: quote!(::zyre_actors::NoError),
            into_result: quote!(::core::result::Result::Ok(output)),
            check: Some(check),
        })
    }
}

/// Names the message where it says `Self`: its types are also needed where `Self` is something else.
pub(crate) fn without_self(tokens: TokenStream, message: &Ident) -> TokenStream {
    let named = tokens.into_iter().map(|token| match token {
        TokenTree::Ident(ident) if ident == "Self" => {
            let mut named = message.clone();
            named.set_span(ident.span());
            TokenTree::Ident(named)
        }
        TokenTree::Group(group) => {
            let mut named = Group::new(group.delimiter(), without_self(group.stream(), message));
            named.set_span(group.span());
            TokenTree::Group(named)
        }
        other => other,
    });
    named.collect()
}
