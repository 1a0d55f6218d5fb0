//! Reads annotated items without looking into the bodies of their functions.
//!
//! A body goes on token by token as it is written. So the item is expanded while its body is only
//! half typed, which keeps completion alive and leaves it to rustc to say what is wrong in there.
//! Until it is written out again it hides in a [`Block`] of one statement: print items and blocks
//! through this module only.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens as _, quote};
use syn::parse::discouraged::Speculative as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{
    Attribute, Block, Expr, FnModifiers, ImplItem, ImplItemFn, Item, ItemFn, ItemImpl, Signature,
    Stmt, Token, Visibility, token,
};

/// Reads an item.
///
/// # Errors
///
/// Fails when the item is wrong outside of its functions' bodies.
pub(crate) fn read(tokens: TokenStream) -> syn::Result<Item> {
    let mut head: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let Some(TokenTree::Group(body)) = head.pop() else {
        return syn::parse2(tokens);
    };
    let mut empty = Group::new(body.delimiter(), TokenStream::new());
    empty.set_span(body.span());
    head.push(empty.into());
    match syn::parse2(head.into_iter().collect()) {
        Ok(Item::Impl(mut item)) => {
            let inner = |input: ParseStream<'_>| {
                item.attrs.extend(Attribute::parse_inner(input)?);
                while !input.is_empty() {
                    item.items.push(read_member(input)?);
                }
                Ok(())
            };
            inner.parse2(body.stream())?;
            Ok(Item::Impl(item))
        }
        Ok(Item::Fn(mut item)) => {
            *item.block = unread(&body);
            Ok(Item::Fn(item))
        }
        _ => syn::parse2(tokens),
    }
}

fn read_member(input: ParseStream<'_>) -> syn::Result<ImplItem> {
    let ahead = input.fork();
    if let Ok(method) = read_method(&ahead) {
        input.advance_to(&ahead);
        return Ok(ImplItem::Fn(method));
    }
    input.parse()
}

fn read_method(input: ParseStream<'_>) -> syn::Result<ImplItemFn> {
    let attrs = input.call(Attribute::parse_outer)?;
    let vis: Visibility = input.parse()?;
    let mut modifiers = FnModifiers::default();
    if input.peek(Token![default]) {
        modifiers.defaultness = Some(input.parse()?);
    }
    let sig: Signature = input.parse()?;
    let body: Group = input.parse()?;
    if body.delimiter() != Delimiter::Brace {
        return Err(syn::Error::new(body.span(), "expected a body"));
    }
    Ok(ImplItemFn {
        attrs,
        vis,
        modifiers,
        sig,
        block: unread(&body),
    })
}

/// A block that keeps the body as one token, with the places of its braces.
fn unread(body: &Group) -> Block {
    let tokens = TokenTree::from(body.clone()).into();
    Block {
        brace_token: token::Brace(body.span()),
        stmts: vec![Stmt::Expr(Expr::Verbatim(tokens), None)],
    }
}

/// The body of a function, braces and all, as it is written.
pub(crate) fn body(block: &Block) -> TokenStream {
    if let [Stmt::Expr(Expr::Verbatim(tokens), None)] = block.stmts.as_slice()
        && let [TokenTree::Group(_)] = tokens.clone().into_iter().collect::<Vec<_>>().as_slice()
    {
        return tokens.clone();
    }
    block.to_token_stream()
}

/// A method as it is written.
pub(crate) fn method(method: &ImplItemFn) -> TokenStream {
    let ImplItemFn {
        attrs,
        vis,
        modifiers,
        sig,
        block,
    } = method;
    let defaultness = &modifiers.defaultness;
    let body = body(block);
    quote!(#(#attrs)* #vis #defaultness #sig #body)
}

/// A function as it is written.
pub(crate) fn function(function: &ItemFn) -> TokenStream {
    let ItemFn {
        attrs,
        vis,
        modifiers,
        sig,
        block,
    } = function;
    let defaultness = &modifiers.defaultness;
    let body = body(block);
    quote!(#(#attrs)* #vis #defaultness #sig #body)
}

/// An impl block as it is written.
pub(crate) fn block(item: &ItemImpl) -> TokenStream {
    let mut item = item.clone();
    for member in &mut item.items {
        if let ImplItem::Fn(written) = member {
            *member = ImplItem::Verbatim(method(written));
        }
    }
    quote!(#item)
}
