//! Types and doc comments as text for the route table.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// A type as a person writes it: `Vec<(String, i64)>`.
pub(super) fn type_text(ty: &impl ToTokens) -> String {
    let mut text = String::new();
    write_tokens(ty.to_token_stream(), &mut text);
    text
}

fn write_tokens(tokens: TokenStream, text: &mut String) {
    let mut after_joint = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{ ", " }"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write_tokens(group.stream(), text);
                text.push_str(close);
                after_joint = false;
            }
            TokenTree::Punct(punct) => {
                let c = punct.as_char();
                let spaced = matches!(c, '=' | '+' | '-') && !after_joint;
                if spaced && !text.is_empty() || c == '\'' && ends_in_word(text) {
                    text.push(' ');
                }
                text.push(c);
                let arrow = c == '>' && after_joint && text.ends_with("->");
                after_joint = punct.spacing() == Spacing::Joint && c != '\'';
                if matches!(c, ',' | ';') || spaced && c != '-' || arrow {
                    text.push(' ');
                }
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => {
                if ends_in_word(text) {
                    text.push(' ');
                }
                text.push_str(&token.to_string());
                after_joint = false;
            }
        }
    }
}

fn ends_in_word(text: &str) -> bool {
    text.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// The doc comment in the attributes, without the space that each line starts with.
pub(super) fn doc_text(attrs: &[Attribute]) -> String {
    let lines: Vec<String> = attrs
        .iter()
        .filter_map(|attr| match &attr.meta {
            Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
                Expr::Lit(ExprLit {
                    lit: Lit::Str(line),
                    ..
                }) => Some(line.value()),
                _ => None,
            },
            _ => None,
        })
        .flat_map(|text| {
            text.split('\n')
                .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use syn::{Type, parse_quote};

    use super::*;

    #[test]
    fn types_read_as_they_are_written() {
        let types: [(Type, &str); 7] = [
            (
                parse_quote!(HashMap<String, Vec<i64>>),
                "HashMap<String, Vec<i64>>",
            ),
            (parse_quote!(&'static str), "&'static str"),
            (parse_quote!([u8; 4]), "[u8; 4]"),
            (parse_quote!((a::B, &mut C)), "(a::B, &mut C)"),
            (
                parse_quote!(Box<dyn Fn(u8) -> u8 + Send + 'static>),
                "Box<dyn Fn(u8) -> u8 + Send + 'static>",
            ),
            (parse_quote!(<T as Iterator>::Item), "<T as Iterator>::Item"),
            (
                parse_quote!(Box<dyn Iterator<Item = u8>>),
                "Box<dyn Iterator<Item = u8>>",
            ),
        ];
        for (ty, text) in types {
            assert_eq!(type_text(&ty), text);
        }
    }

    #[test]
    fn docs_lose_their_leading_space_only() {
        let item: syn::ItemFn = parse_quote! {
            /// Adds up.
            ///
            ///     code
            #[inline]
            fn f() {}
        };
        assert_eq!(doc_text(&item.attrs), "Adds up.\n\n    code");
    }
}
