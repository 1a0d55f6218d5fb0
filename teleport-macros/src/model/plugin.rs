//! `#[plugin]` on `impl Plugin for X`.

use proc_macro2::TokenStream;
use syn::{FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, Path, ReturnType};

use super::signature::{check_receiver, inputs_or};
use super::{PLUGIN, krate};
use crate::parse::{Args, Problems, nearest};

/// The hooks of a peer's life: never async, taken over as they are written.
const LIFE_HOOKS: [&str; 4] = ["pre_new_peer", "post_new_peer", "post_reg", "post_listen"];

/// The hooks of connections and messages, with what each is lent beside `&self`.
const MESSAGE_HOOKS: [(&str, &str); 20] = [
    ("pre_dial", "&mut DialCtx"),
    ("post_dial", "&mut PreSession"),
    ("post_accept", "&mut PreSession"),
    ("post_disconnect", "&Session"),
    ("pre_write_call", "&mut WriteCtx"),
    ("post_write_call", "&mut WriteCtx"),
    ("pre_write_reply", "&mut WriteCtx"),
    ("post_write_reply", "&mut WriteCtx"),
    ("pre_write_push", "&mut WriteCtx"),
    ("post_write_push", "&mut WriteCtx"),
    ("pre_read_header", "&mut PreCtx"),
    ("post_read_call_header", "&mut ReadCtx"),
    ("pre_read_call_body", "&mut ReadCtx"),
    ("post_read_call_body", "&mut ReadCtx"),
    ("post_read_push_header", "&mut ReadCtx"),
    ("pre_read_push_body", "&mut ReadCtx"),
    ("post_read_push_body", "&mut ReadCtx"),
    ("post_read_reply_header", "&mut ReadCtx"),
    ("pre_read_reply_body", "&mut ReadCtx"),
    ("post_read_reply_body", "&mut ReadCtx"),
];

/// An implementation of the plugin trait.
#[derive(Debug)]
pub(crate) struct Plugin {
    /// Where the runtime is found; None when the block has to stay as it is written.
    pub(crate) krate: Option<Path>,
    /// The block without its hooks.
    pub(crate) item: ItemImpl,
    pub(crate) hooks: Vec<Hook>,
}

/// One hook that the plugin implements.
#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) method: ImplItemFn,
    pub(crate) body: Body,
}

/// How a hook goes into the trait's implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// As it is written: a hook of a peer's life.
    AsWritten,
    /// Done when it returns.
    Ready,
    /// An `async fn`.
    Wait,
}

impl Plugin {
    pub(crate) fn check(args: TokenStream, mut item: ItemImpl, problems: &mut Problems) -> Self {
        let args = Args::parse(args, &PLUGIN, problems);
        let krate = krate(&args);
        if !check_trait(&item, problems) {
            return Self {
                krate: None,
                item,
                hooks: Vec::new(),
            };
        }
        let mut hooks = Vec::new();
        let mut rest = Vec::new();
        for member in std::mem::take(&mut item.items) {
            match member {
                ImplItem::Fn(method) if method.sig.ident == "name" => {
                    rest.push(ImplItem::Fn(method));
                }
                ImplItem::Fn(method) => hooks.extend(check_hook(method, problems)),
                other => rest.push(other),
            }
        }
        item.items = rest;
        Self { krate, item, hooks }
    }
}

/// Whether the block is one of the plugin trait.
fn check_trait(item: &ItemImpl, problems: &mut Problems) -> bool {
    match &item.trait_ {
        Some((path, _))
            if path
                .segments
                .last()
                .is_some_and(|last| last.ident == "Plugin") =>
        {
            return true;
        }
        Some((path, _)) => problems.at(path, "#[plugin] goes on `impl Plugin for ..`"),
        None => problems.at(
            &item.self_ty,
            format!(
                "#[plugin] goes on the trait's block; write `impl Plugin for {}`",
                super::text::type_text(&item.self_ty)
            ),
        ),
    }
    false
}

fn check_hook(method: ImplItemFn, problems: &mut Problems) -> Option<Hook> {
    let before = problems.count();
    let ident = &method.sig.ident;
    let name = ident.to_string();
    if name == "hooks" {
        problems.at(
            ident,
            "#[plugin] writes `hooks` from the hooks it sees; remove it, or leave #[plugin] out and \
             write the whole block by hand",
        );
        return None;
    }
    let is_async = method.sig.asyncness.is_some();
    let body = if LIFE_HOOKS.contains(&name.as_str()) {
        if let Some(token) = &method.sig.asyncness {
            problems.at(token, format!("`{name}` is not awaited; remove `async`"));
        }
        Body::AsWritten
    } else if let Some((_, lent)) = MESSAGE_HOOKS.iter().find(|(known, _)| *known == name) {
        check_signature(&method, lent, problems);
        if is_async { Body::Wait } else { Body::Ready }
    } else {
        problems.at(ident, unknown_hook(ident));
        return None;
    };
    (problems.count() == before).then_some(Hook { method, body })
}

fn unknown_hook(ident: &Ident) -> String {
    let name = ident.to_string();
    let known = LIFE_HOOKS
        .into_iter()
        .chain(MESSAGE_HOOKS.iter().map(|(known, _)| *known));
    match nearest(&name, known) {
        Some(known) => format!("there is no hook `{name}`, did you mean `{known}`?"),
        None => format!(
            "there is no hook `{name}`; move the function to an `impl` of its own (the hooks are listed \
             at `Plugin`)"
        ),
    }
}

/// A message hook is `fn(&self, one lent thing) -> Result<(), Rerror>`.
fn check_signature(method: &ImplItemFn, lent: &str, problems: &mut Problems) {
    let sig = &method.sig;
    let name = &sig.ident;
    for param in &sig.generics.params {
        problems.at(
            param,
            format!("`{name}` has no generic parameter; remove it"),
        );
    }
    let mut inputs = sig.inputs.iter();
    let expected = format!("write `{name}(&self, ctx: {lent})`");
    match (inputs.next(), inputs.next(), inputs.next()) {
        (Some(FnArg::Receiver(receiver)), Some(FnArg::Typed(input)), None) => {
            check_receiver("hooks", receiver, problems);
            if !matches!(&*input.ty, syn::Type::Reference(_)) {
                problems.at(&input.ty, &expected);
            }
        }
        (_, _, Some(extra)) => problems.at(extra, &expected),
        _ => problems.at(inputs_or(&sig.inputs, name), &expected),
    }
    if matches!(sig.output, ReturnType::Default) {
        problems.at(
            name,
            format!("`{name}` may fail; write `-> Result<(), Rerror>`"),
        );
    }
}
