//! What a handler may look like.

use proc_macro2::Span;
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{
    FnArg, GenericArgument, GenericParam, Lifetime, PatType, PathArguments, PathSegment, Receiver,
    ReceiverKind, ReturnType, Safety, Signature, Token, Type, TypeReference,
};

use super::Kind;
use super::text::type_text;
use crate::parse::Problems;

/// A checked signature.
#[derive(Debug)]
pub(crate) struct Handler {
    pub(crate) context: Option<Context>,
    pub(crate) arg: Option<Type>,
    pub(crate) output: ReturnType,
    pub(crate) is_async: bool,
}

/// The context parameter: `&mut CallCtx` or `&CallCtx`.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) mutable: bool,
}

impl Handler {
    /// Checks all but the receiver. None when something is wrong with it.
    pub(super) fn check(kind: Kind, sig: &Signature, problems: &mut Problems) -> Option<Self> {
        let before = problems.count();
        check_qualifiers(sig, problems);
        check_generics(sig, problems);
        let (context, arg) = check_parameters(kind, sig, problems);
        check_output(kind, &sig.output, problems);
        (problems.count() == before).then(|| Self {
            context,
            arg: arg.map(|arg| (*arg.ty).clone()),
            output: sig.output.clone(),
            is_async: sig.asyncness.is_some(),
        })
    }
}

/// Checks that a method of `what` (handlers or hooks) takes `&self`.
pub(super) fn check_receiver(what: &str, receiver: &Receiver, problems: &mut Problems) {
    if matches!(receiver.kind, ReceiverKind::Reference(_, _, None)) {
        return;
    }
    problems.at(
        receiver,
        format!("{what} run at the same time; take `&self` and keep state in a Mutex or an atomic"),
    );
}

fn check_qualifiers(sig: &Signature, problems: &mut Problems) {
    if let Safety::Unsafe(token) = &sig.safety {
        problems.at(
            token,
            "a handler is called with what the network sends, so it cannot be unsafe; remove `unsafe`",
        );
    }
    if let Some(abi) = &sig.abi {
        problems.at(abi, "a handler is called from Rust; remove the `extern`");
    }
    if let Some(variadic) = &sig.variadic {
        problems.at(variadic, "a handler takes one argument; take a `Vec` of it");
    }
}

fn check_generics(sig: &Signature, problems: &mut Problems) {
    for param in &sig.generics.params {
        let ident = match param {
            GenericParam::Lifetime(_) => continue,
            GenericParam::Type(param) => &param.ident,
            GenericParam::Const(param) => &param.ident,
        };
        problems.at(
            ident,
            format!(
                "a route has one argument type, so a handler has no generic parameter; name the type \
                 instead of `{ident}`, or move the parameter to the `impl`"
            ),
        );
    }
}

fn check_parameters<'a>(
    kind: Kind,
    sig: &'a Signature,
    problems: &mut Problems,
) -> (Option<Context>, Option<&'a PatType>) {
    let mut context = None;
    let mut arg: Option<&PatType> = None;
    let mut too_many = false;
    let typed = sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(input) => Some(input),
        FnArg::Receiver(_) => None,
    });
    for input in typed {
        if let Some((name, target)) = context_of(&input.ty) {
            if context.is_some() {
                problems.at(input, "a handler has one context; remove this one");
            } else if arg.is_some() {
                problems.at(
                    input,
                    "the context comes first; move it in front of the argument",
                );
            }
            context = Some(check_context(kind, name, target, &input.ty, problems));
        } else if arg.is_some() {
            if !std::mem::replace(&mut too_many, true) {
                problems.at(
                    input,
                    "a message has one body, so a handler takes one argument beside its context; put \
                     all in one struct or tuple",
                );
            }
        } else {
            check_arg(kind, &input.ty, problems);
            arg = Some(input);
        }
    }
    (context, arg)
}

/// The context's name and whether it is behind a reference, when a type is one.
fn context_of(ty: &Type) -> Option<(&PathSegment, Option<&TypeReference>)> {
    let (target, reference) = match ungrouped(ty) {
        Type::Reference(reference) => (ungrouped(&reference.elem), Some(reference)),
        target => (target, None),
    };
    let segment = last_segment(target)?;
    let known = ["CallCtx", "PushCtx", "UnknownCallCtx", "UnknownPushCtx"];
    known
        .iter()
        .any(|name| segment.ident == name)
        .then_some((segment, reference))
}

fn check_context(
    kind: Kind,
    name: &PathSegment,
    reference: Option<&TypeReference>,
    ty: &Type,
    problems: &mut Problems,
) -> Context {
    let expected = kind.context();
    if name.ident != expected {
        let advice = match name.ident.to_string().as_str() {
            "UnknownCallCtx" => {
                "; what is unknown has no route: hand the function to `set_unknown_call`"
            }
            "UnknownPushCtx" => {
                "; what is unknown has no route: hand the function to `set_unknown_push`"
            }
            _ => "",
        };
        problems.at(
            name,
            format!(
                "a #[{}] handler takes `&mut {expected}`{advice}",
                kind.attribute()
            ),
        );
    } else if reference.is_none() {
        problems.at(
            ty,
            format!("the context is lent to the handler; write `&mut {expected}`"),
        );
    }
    Context {
        mutable: reference.is_some_and(|reference| reference.mutability.is_some()),
    }
}

fn check_arg(kind: Kind, ty: &Type, problems: &mut Problems) {
    match ungrouped(ty) {
        Type::Reference(reference) => {
            let owned = owned_text(&reference.elem);
            let context = if reference.mutability.is_some() {
                format!(" (a context is `&mut {}`)", kind.context())
            } else {
                String::new()
            };
            problems.at(
                reference,
                format!("an argument is decoded from the message; take the owned type: `{owned}`{context}"),
            );
        }
        Type::ImplTrait(ty) => problems.at(
            ty,
            "a route has one argument type, so it cannot be `impl Trait`; name the type",
        ),
        ty => {
            if let Some(borrow) = find_borrow(ty) {
                borrow.report(problems, |owned| {
                    format!("an argument is decoded from the message and owns what it holds{owned}")
                });
            }
        }
    }
}

fn check_output(kind: Kind, output: &ReturnType, problems: &mut Problems) {
    let ReturnType::Type(_, ty) = output else {
        return;
    };
    let ty = ungrouped(ty);
    if let Type::ImplTrait(ty) = ty {
        problems.at(
            ty,
            "write `async fn` and the type that the handler ends with, instead of `impl Trait`",
        );
        return;
    }
    if kind == Kind::Push && !may_be_push_output(ty) {
        problems.at(
            ty,
            "a push has no reply; return nothing or `Result<(), Rerror>`",
        );
        return;
    }
    if let Some(borrow) = find_borrow(ty) {
        borrow.report(problems, |owned| {
            format!("a reply is sent after the handler has ended; return what owns its data{owned}")
        });
    }
}

/// Whether a type can be nothing or a result of nothing, as far as one can see: an alias may be.
fn may_be_push_output(ty: &Type) -> bool {
    match ty {
        Type::Tuple(tuple) => tuple.elems.is_empty(),
        Type::Never(_) | Type::Macro(_) => true,
        Type::Path(_) => {
            let Some(segment) = last_segment(ty) else {
                return true;
            };
            match &segment.arguments {
                PathArguments::AngleBracketed(arguments) => {
                    let first = arguments.args.first();
                    let unit =
                        |ty: &Type| matches!(ungrouped(ty), Type::Tuple(t) if t.elems.is_empty());
                    segment.ident.to_string().ends_with("Result")
                        && first.is_none_or(
                            |first| matches!(first, GenericArgument::Type(ty) if unit(ty)),
                        )
                }
                PathArguments::Parenthesized(_) => false,
                PathArguments::None => !is_plain_value(&segment.ident.to_string()),
            }
        }
        _ => false,
    }
}

fn is_plain_value(name: &str) -> bool {
    let plain = [
        "bool", "char", "str", "String", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize",
        "u8", "u16", "u32", "u64", "u128", "usize", "Bytes",
    ];
    plain.contains(&name)
}

/// A borrow inside a type that must own.
pub(super) enum Borrow<'a> {
    Reference(&'a TypeReference),
    Lifetime(&'a Lifetime),
}

impl Borrow<'_> {
    fn report(&self, problems: &mut Problems, message: impl Fn(&str) -> String) {
        match self {
            Self::Reference(reference) => {
                let advice = format!(": `{}`", owned_text(&reference.elem));
                problems.at(reference, message(&advice));
            }
            Self::Lifetime(lifetime) => {
                problems.at(
                    lifetime,
                    message(", so its type has no lifetime but `'static`"),
                );
            }
        }
    }

    /// Where it stands.
    pub(super) fn span(&self) -> Span {
        match self {
            Self::Reference(reference) => reference.span(),
            Self::Lifetime(lifetime) => lifetime.span(),
        }
    }
}

/// The first reference or lifetime in a type that is not `'static`.
pub(super) fn find_borrow(ty: &Type) -> Option<Borrow<'_>> {
    match ty {
        Type::Reference(reference) => match &reference.lifetime {
            Some(lifetime) if lifetime.ident == "static" => find_borrow(&reference.elem),
            _ => Some(Borrow::Reference(reference)),
        },
        Type::Array(array) => find_borrow(&array.elem),
        Type::Slice(slice) => find_borrow(&slice.elem),
        Type::Group(group) => find_borrow(&group.elem),
        Type::Paren(paren) => find_borrow(&paren.elem),
        Type::Tuple(tuple) => tuple.elems.iter().find_map(find_borrow),
        Type::Path(path) => path.path.segments.iter().find_map(|segment| {
            let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
                return None;
            };
            arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::Lifetime(lifetime) if lifetime.ident != "static" => {
                    Some(Borrow::Lifetime(lifetime))
                }
                GenericArgument::Type(ty) => find_borrow(ty),
                _ => None,
            })
        }),
        _ => None,
    }
}

/// Whether a type borrows anything that is not `'static`.
pub(crate) fn borrows(ty: &Type) -> bool {
    find_borrow(ty).is_some()
}

/// What to write instead of a reference to the type.
fn owned_text(ty: &Type) -> String {
    match ungrouped(ty) {
        Type::Slice(slice) => format!("Vec<{}>", type_text(&slice.elem)),
        ty if last_segment(ty).is_some_and(|segment| segment.ident == "str") => "String".to_owned(),
        ty => type_text(ty),
    }
}

pub(super) fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last(),
        _ => None,
    }
}

/// A type without the invisible groups that macro variables leave and without parentheses.
pub(super) fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        ty => ty,
    }
}

/// The parameters' tokens, or the function's name when there are none, for a span.
pub(super) fn inputs_or<'a>(
    inputs: &'a Punctuated<FnArg, Token![,]>,
    or: &'a dyn ToTokens,
) -> &'a dyn ToTokens {
    if inputs.is_empty() { or } else { inputs }
}
