//! Parses an `async fn` as far as is needed to make a function that runs it.

use proc_macro::{Delimiter, Group, Span, TokenStream, TokenTree};

use crate::compile_error::CompileError;

pub(crate) struct Function {
    /// Attributes and visibility.
    before: TokenStream,
    /// From `fn` on, without the body.
    signature: TokenStream,
    name: String,
    body: Group,
}

impl Function {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self, CompileError> {
        let mut tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is = |token: &TokenTree, word: &str| matches!(token, TokenTree::Ident(ident) if ident.to_string() == word);
        let position = |word: &str| tokens.iter().position(|token| is(token, word));
        let no_function =
            || CompileError::new(Span::call_site(), "this attribute needs an `async fn`");
        let function = position("fn").ok_or_else(no_function)?;
        let Some(asynchronous) = position("async").filter(|&at| at < function) else {
            let message = "this attribute needs an `async fn`: add `async`";
            return Err(CompileError::new(tokens[function].span(), message));
        };
        if asynchronous + 1 < function {
            let message = "this attribute supports nothing between `async` and `fn`";
            return Err(CompileError::new(tokens[asynchronous + 1].span(), message));
        }
        let name = tokens.get(function + 1).map(ToString::to_string).ok_or_else(no_function)?;
        check_arguments(tokens.get(function + 2))?;
        let Some(TokenTree::Group(body)) = tokens.pop() else { return Err(no_function()) };
        let signature = tokens.split_off(function);
        tokens.truncate(asynchronous);
        let (before, signature) = (tokens.into_iter().collect(), signature.into_iter().collect());
        Ok(Self { before, signature, name, body })
    }

    /// The function without `async`, whose body passes the `async fn` to the function `run`.
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

fn check_arguments(arguments: Option<&TokenTree>) -> Result<(), CompileError> {
    match arguments {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => {
            match group.stream().into_iter().next() {
                None => Ok(()),
                Some(first) => Err(CompileError::new(
                    first.span(),
                    "this attribute needs a function without arguments",
                )),
            }
        }
        Some(other) => Err(CompileError::new(
            other.span(),
            "this attribute needs a function without generic parameters",
        )),
        None => Err(CompileError::new(Span::call_site(), "this attribute needs an `async fn`")),
    }
}

fn parsed(code: &str) -> TokenStream {
    code.parse().expect("the generated code is valid tokens")
}
