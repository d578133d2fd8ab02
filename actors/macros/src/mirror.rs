//! The JSON Schema of a message's parameters, without asking the user for anything.
//!
//! schemars knows how serde's attributes change what travels, so it is given a mirror of the message to derive from:
//! the same names and attributes, as far as they matter to a reader, with each field's type replaced by one that has a
//! schema whatever it stands for. What the mirror leaves out makes the schema more lenient, never the message invalid.

use crate::attributes::arguments;
use crate::expand::without_self;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Data, DeriveInput, Expr, ExprLit, ExprPath, Field, Fields, Lit, LitStr, Meta, Token, Type,
    Variant,
};

/// Declares `__Params`, which has the schema of the parameters.
pub(crate) fn params(input: &DeriveInput) -> TokenStream {
    let serde = Serde::of(&input.attrs);
    let mut mirror =
        Mirror { message: &input.ident, serde_default: serde.has("default"), declared: Vec::new() };

    if let Some(stand_in) = serde.text("from").or_else(|| serde.text("try_from"))
        && let Ok(stand_in) = stand_in.parse::<Type>()
    {
        let ty = mirror.describe(&stand_in);
        let declared = &mirror.declared;
        return quote!(#(#declared)* type __Params = #ty;);
    }

    let title = input.ident.unraw().to_string();
    let docs = docs(&input.attrs);
    let kept =
        serde.keep(&["rename_all", "rename_all_fields", "tag", "content", "untagged", "deny_unknown_fields"]);
    let body = match &input.data {
        Data::Struct(data) if serde.has("transparent") => match transparent_field(&data.fields) {
            Some(field) => {
                let ty = mirror.field_type(field, &Serde::of(&field.attrs));
                quote!(struct __Params(#ty);)
            }
            None => quote!(
                struct __Params;
            ),
        },
        Data::Struct(data) => {
            let fields = mirror.fields(&data.fields);
            match data.fields {
                Fields::Named(_) => quote!(struct __Params #fields),
                Fields::Unnamed(_) | Fields::Unit => quote!(struct __Params #fields;),
            }
        }
        Data::Enum(data) => {
            let variants = data.variants.iter().map(|variant| mirror.variant(variant));
            let variants: Vec<_> = variants.collect();
            quote!(enum __Params { #(#variants),* })
        }
        // Refused before.
        Data::Union(_) => quote!(
            struct __Params;
        ),
    };
    let declared = &mirror.declared;
    quote! {
        #(#declared)*
        #[allow(dead_code, non_camel_case_types, non_snake_case, reason = "only its schema is wanted")]
        #[derive(::zyre_actors::__private::schemars::JsonSchema)]
        #[schemars(crate = "::zyre_actors::__private::schemars", title = #title)]
        #kept
        #(#docs)*
        #body
    }
}

/// Declares `name`, which tells the schema of `ty` if it has one.
pub(crate) fn describe(name: &TokenStream, ty: &TokenStream) -> TokenStream {
    quote! {
        struct #name;
        impl ::zyre_actors::__private::Describe for #name {
            fn described() -> ::core::option::Option<::zyre_actors::__private::Described> {
                ::zyre_actors::__private::Probe::<#ty>::described()
            }
        }
    }
}

struct Mirror<'a> {
    message: &'a Ident,
    /// `#[serde(default)]` on the message: each field may be missing.
    serde_default: bool,
    /// What the mirror's fields refer to.
    declared: Vec<TokenStream>,
}

impl Mirror<'_> {
    fn variant(&mut self, variant: &Variant) -> TokenStream {
        let serde = Serde::of(&variant.attrs);
        let kept = serde.keep(&["rename", "rename_all", "untagged"]);
        let skipped = serde.is_skipped().then(|| quote!(#[serde(skip)]));
        let converted = serde.is_converted().then(|| {
            let anything = "::zyre_actors::__private::serde_json::Value";
            quote!(#[schemars(with = #anything)])
        });
        let (name, docs, fields) = (&variant.ident, docs(&variant.attrs), self.fields(&variant.fields));
        quote!(#(#docs)* #kept #skipped #converted #name #fields)
    }

    fn fields(&mut self, fields: &Fields) -> TokenStream {
        let mirrored: Vec<_> = fields.iter().map(|field| self.field(field)).collect();
        match fields {
            Fields::Named(_) => quote!({ #(#mirrored),* }),
            Fields::Unnamed(_) => quote!((#(#mirrored),*)),
            Fields::Unit => TokenStream::new(),
        }
    }

    fn field(&mut self, field: &Field) -> TokenStream {
        let serde = Serde::of(&field.attrs);
        let name = field.ident.as_ref().map(|name| quote!(#name:));
        if serde.is_skipped() {
            return quote!(#[serde(skip)] #name ());
        }
        let ty = self.field_type(field, &serde);
        let default = self.default(field, &serde).map(|path| quote!(#[serde(default = #path)]));
        let (docs, kept) = (docs(&field.attrs), serde.keep(&["rename", "flatten"]));
        quote!(#(#docs)* #kept #default #name #ty)
    }

    fn field_type(&mut self, field: &Field, serde: &Serde) -> TokenStream {
        if serde.is_converted() {
            return quote!(::zyre_actors::__private::serde_json::Value);
        }
        // schemars must see the `Option` to know that the field may be missing.
        match arguments(&field.ty, "Option").as_deref() {
            Some([inner]) => {
                let inner = self.describe(inner);
                quote!(::core::option::Option<#inner>)
            }
            _ => self.describe(&field.ty),
        }
    }

    /// A type that has the schema of `ty`, or lets everything pass if it has none.
    fn describe(&mut self, ty: &Type) -> TokenStream {
        let name = format_ident!("__Field{}", self.declared.len());
        self.declared.push(describe(&quote!(#name), &self.named(ty)));
        quote!(::zyre_actors::__private::Lenient<#name>)
    }

    /// The path of a function that gives the field's default, which schemars calls and writes into the schema.
    fn default(&mut self, field: &Field, serde: &Serde) -> Option<String> {
        if !serde.has("default") && !self.serde_default {
            return None;
        }
        // The default of the whole message is not asked for those of its fields: it may not be taken apart.
        if serde.is_converted() || !serde.has("default") {
            return Some("::zyre_actors::__private::unstated".to_owned());
        }
        let given = serde.text("default").and_then(|path| path.parse::<ExprPath>().ok());
        let given =
            given.map_or_else(|| quote!(::core::default::Default::default), ToTokens::into_token_stream);
        // A function of its own, because `Vec::new` alone does not say of what.
        let (name, ty) = (format_ident!("__default{}", self.declared.len()), self.named(&field.ty));
        self.declared.push(quote!(fn #name() -> #ty { #given() }));
        Some(name.to_string())
    }

    fn named(&self, ty: &Type) -> TokenStream {
        without_self(ty.to_token_stream(), self.message)
    }
}

/// The one field that a transparent struct travels as; serde has seen to it that there is no other.
fn transparent_field(fields: &Fields) -> Option<&Field> {
    fields.iter().find(|field| {
        let serde = Serde::of(&field.attrs);
        !serde.is_skipped() && !serde.has("default") && arguments(&field.ty, "PhantomData").is_none()
    })
}

/// Doc comments become descriptions.
fn docs(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|a| a.path().is_ident("doc") && matches!(a.meta, Meta::NameValue(_)))
}

/// What serde is told about an item. What cannot be read is left to serde, which says so better.
struct Serde(Vec<Meta>);

impl Serde {
    fn of(attributes: &[Attribute]) -> Self {
        let lists = attributes.iter().filter(|attribute| attribute.path().is_ident("serde"));
        let metas =
            lists.filter_map(|a| a.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).ok());
        Self(metas.flatten().collect())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|meta| meta.path().is_ident(name))
    }

    /// The value of `name = "value"`.
    fn text(&self, name: &str) -> Option<&LitStr> {
        self.0.iter().find_map(|meta| match meta {
            Meta::NameValue(given) if given.path.is_ident(name) => match &given.value {
                Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text),
                _ => None,
            },
            _ => None,
        })
    }

    /// Nobody can send it.
    fn is_skipped(&self) -> bool {
        self.has("skip") || self.has("skip_deserializing")
    }

    /// It travels as something that its type does not tell.
    fn is_converted(&self) -> bool {
        self.has("with") || self.has("deserialize_with")
    }

    /// `#[serde(…)]` with what is named only.
    fn keep(&self, names: &[&str]) -> Option<TokenStream> {
        let kept = self.0.iter().filter(|meta| names.iter().any(|name| meta.path().is_ident(name)));
        let kept: Vec<_> = kept.collect();
        (!kept.is_empty()).then(|| quote!(#[serde(#(#kept),*)]))
    }
}
