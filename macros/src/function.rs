//! An `async fn`, taken apart as far as is needed to make one that runs it.

use proc_macro::{Delimiter, Group, Span, TokenStream, TokenTree};

use crate::complaint::Complaint;

pub(crate) struct Function {
    /// Attributes and visibility.
    before: TokenStream,
    /// From `fn` on, without the body.
    signature: TokenStream,
    name: String,
    body: Group,
}

impl Function {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self, Complaint> {
        let mut tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is = |token: &TokenTree, word: &str| matches!(token, TokenTree::Ident(ident) if ident.to_string() == word);
        let place = |word: &str| tokens.iter().position(|token| is(token, word));
        let nowhere = || Complaint::new(Span::call_site(), "this goes before an `async fn`");
        let function = place("fn").ok_or_else(nowhere)?;
        let Some(asynchronous) = place("async").filter(|&at| at < function) else {
            let complaint = "the function must be `async`";
            return Err(Complaint::new(tokens[function].span(), complaint));
        };
        if asynchronous + 1 < function {
            let complaint = "nothing may be between `async` and `fn`";
            return Err(Complaint::new(tokens[asynchronous + 1].span(), complaint));
        }
        let name = tokens.get(function + 1).map(ToString::to_string).ok_or_else(nowhere)?;
        check_arguments(tokens.get(function + 2))?;
        let Some(TokenTree::Group(body)) = tokens.pop() else { return Err(nowhere()) };
        let signature = tokens.split_off(function);
        tokens.truncate(asynchronous);
        let (before, signature) = (tokens.into_iter().collect(), signature.into_iter().collect());
        Ok(Self { before, signature, name, body })
    }

    /// The function without `async`, which runs itself by the function `run` on a runtime.
    pub(crate) fn into_sync(self, run: &str, builder: &str, attribute: &str) -> TokenStream {
        let Self { before, signature, name, body } = self;
        let mut inner: TokenStream = parsed("async");
        inner.extend(signature.clone());
        inner.extend([TokenTree::from(body)]);
        inner.extend(parsed(&format!("{run}({builder}, {name}())")));
        let mut outer = parsed(attribute);
        outer.extend(before);
        outer.extend(signature);
        outer.extend([TokenTree::from(Group::new(Delimiter::Brace, inner))]);
        outer
    }
}

fn check_arguments(arguments: Option<&TokenTree>) -> Result<(), Complaint> {
    match arguments {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => {
            match group.stream().into_iter().next() {
                None => Ok(()),
                Some(first) => {
                    Err(Complaint::new(first.span(), "the function must have no arguments"))
                }
            }
        }
        Some(other) => Err(Complaint::new(other.span(), "the function must not be generic")),
        None => Err(Complaint::new(Span::call_site(), "this goes before an `async fn`")),
    }
}

fn parsed(code: &str) -> TokenStream {
    code.parse().expect("what is written here is tokens")
}
