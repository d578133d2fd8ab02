//! What the user wrote in `#[remote(…)]` and `#[rtype(…)]`.

use crate::name;
use syn::parse::ParseStream;
use syn::{
    Attribute, DeriveInput, Error, ExprPath, GenericArgument, Ident, LitStr, PathArguments, Token, Type,
};

/// How a message is called and what it is answered with.
pub(crate) struct Attributes {
    pub(crate) name: LitStr,
    pub(crate) idempotent: bool,
    /// Gives an error its code.
    pub(crate) code: Option<ExprPath>,
    /// `None` stands for `()`.
    pub(crate) output: Option<Type>,
}

/// What `#[remote(…)]` holds.
struct Remote {
    name: LitStr,
    idempotent: bool,
    code: Option<ExprPath>,
    /// The `result` of `result = Type` is kept for errors.
    result: Option<(Ident, Type)>,
}

impl Attributes {
    pub(crate) fn of(input: &DeriveInput) -> syn::Result<Self> {
        let Some(remote) = only(&input.attrs, "remote")? else {
            let message = "a message needs a name to be called by from other nodes: \
                           add `#[remote(\"service.method\")]`, such as `#[remote(\"calc.add\")]`";
            return Err(Error::new_spanned(&input.ident, message));
        };
        // Without parentheses syn would say what its own parser missed.
        remote.meta.require_list().map_err(|_| Error::new_spanned(remote, WANTED))?;
        let remote: Remote = remote.parse_args_with(Remote::parse)?;
        let rtype =
            only(&input.attrs, "rtype")?.map(|rtype| rtype.parse_args_with(parse_rtype)).transpose()?;

        let output = match (remote.result, rtype) {
            (Some((result, _)), Some(_)) => {
                return Err(Error::new_spanned(result, "`#[rtype]` says the result already; say it once"));
            }
            (Some((_, result)), None) => Some(result),
            (None, rtype) => rtype,
        };
        if let Some(code) = &remote.code
            && output.as_ref().and_then(as_result).is_none()
        {
            let message = "only an error has a code, and this message gives none: \
                           let its result be `Result<T, E>` or leave `code` out";
            return Err(Error::new_spanned(code, message));
        }
        Ok(Self { name: remote.name, idempotent: remote.idempotent, code: remote.code, output })
    }
}

/// What is said where the name should be and is not.
const WANTED: &str = "the name comes first, as a string: `#[remote(\"service.method\")]`";

impl Remote {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(LitStr) {
            return Err(Error::new(input.span(), WANTED));
        }
        let name = input.parse()?;
        name::check(&name)?;
        let mut remote = Self { name, idempotent: false, code: None, result: None };
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            remote.parse_option(input)?;
        }
        Ok(remote)
    }

    fn parse_option(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        let option = input.parse::<Ident>().map_err(|error| Error::new(error.span(), OPTIONS))?;
        let once = |given: bool| match given {
            true => Err(Error::new_spanned(&option, format!("`{option}` is given twice; say it once"))),
            false => Ok(()),
        };
        match option.to_string().as_str() {
            "idempotent" => {
                once(self.idempotent)?;
                if input.peek(Token![=]) {
                    return Err(input.error("`idempotent` takes no value: write it alone or leave it out"));
                }
                self.idempotent = true;
            }
            "code" => {
                once(self.code.is_some())?;
                input.parse::<Token![=]>()?;
                let wanted =
                    "the path of a `fn(&E) -> i64` is expected here, such as `code = CalcError::code`";
                self.code = Some(input.parse().map_err(|error: Error| Error::new(error.span(), wanted))?);
            }
            "result" => {
                once(self.result.is_some())?;
                input.parse::<Token![=]>()?;
                self.result = Some((option, parse_type(input)?));
            }
            _ => return Err(Error::new_spanned(&option, format!("`{option}` is not known; {OPTIONS}"))),
        }
        Ok(())
    }
}

/// What is said of an option that is none.
const OPTIONS: &str =
    "the options are `idempotent`, `code = CalcError::code` and `result = \"Result<T, E>\"`";

/// `result = "Type"`, `"Type"` and both without quotes, as actix has it.
fn parse_rtype(input: ParseStream<'_>) -> syn::Result<Type> {
    if input.peek(Ident) && input.peek2(Token![=]) {
        let key: Ident = input.parse()?;
        if key != "result" {
            return Err(Error::new_spanned(
                key,
                "only `result` is known here: `#[rtype(result = \"Type\")]`",
            ));
        }
        input.parse::<Token![=]>()?;
    }
    parse_type(input)
}

fn parse_type(input: ParseStream<'_>) -> syn::Result<Type> {
    if !input.peek(LitStr) {
        return input.parse();
    }
    let quoted: LitStr = input.parse()?;
    quoted.parse().map_err(|error| Error::new_spanned(&quoted, format!("this is no type: {error}")))
}

/// The attribute of that name, if there is one.
fn only<'a>(attributes: &'a [Attribute], name: &str) -> syn::Result<Option<&'a Attribute>> {
    let mut found = attributes.iter().filter(|attribute| attribute.path().is_ident(name));
    let first = found.next();
    match found.next() {
        Some(second) => Err(Error::new_spanned(second, format!("`#[{name}]` is given twice; say it once"))),
        None => Ok(first),
    }
}

/// The two types of a `Result<T, E>`, however its path is written.
pub(crate) fn as_result(output: &Type) -> Option<(&Type, &Type)> {
    match arguments(output, "Result")?.as_slice() {
        [reply, error] => Some((reply, error)),
        _ => None,
    }
}

/// The type arguments of a path that ends in `name`.
pub(crate) fn arguments<'a>(ty: &'a Type, name: &str) -> Option<Vec<&'a Type>> {
    let path = match ty {
        Type::Path(path) => path,
        // What a `macro_rules` macro captured as a type.
        Type::Group(group) => return arguments(&group.elem, name),
        Type::Paren(paren) => return arguments(&paren.elem, name),
        _ => return None,
    };
    let last = path.path.segments.last().filter(|segment| segment.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    Some(types.collect())
}
