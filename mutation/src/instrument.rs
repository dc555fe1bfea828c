//! Puts every mutant of a file into its text, behind a number.
//!
//! ```text
//! a + b      becomes   (match switch::at(7, 8) { 0 => a + b, 7 => a - b, 8 => a * b, _ => unreachable!() })
//! { body }   becomes   { match switch::at(9, 9) { 0 => {}, 9 => return 0, _ => unreachable!() }; body }
//! ```
//!
//! What stands in a mutant's arm holds no other mutant: one is active at a time. So the text grows with the depth of
//! expressions, not with the number of mutants that combine.

use std::collections::BTreeSet;

use proc_macro2::{LineColumn, TokenStream};
use quote::quote;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Block, Expr, Signature, parse_quote, parse_str};

use crate::mutant::{Genre, Mutants, Places, Position};

/// What stays as it is, because the program would not compile.
#[derive(Debug, Default)]
pub struct Left {
    /// Numbers of mutants.
    pub mutants: BTreeSet<u32>,
    /// Names of functions that must be `const`.
    pub constant: BTreeSet<String>,
}

/// A file with its mutants.
pub struct Instrumented {
    pub text: String,
    /// The mutants that it holds.
    pub placed: BTreeSet<u32>,
    /// Mutants that no compiler takes: a condition that binds names is no operand of another operator.
    pub unviable: BTreeSet<u32>,
}

/// Puts the mutants of a file into its text.
pub fn instrument(text: &str, file: &str, mutants: &Mutants, left: &Left) -> Instrumented {
    let mut tree = syn::parse_file(text).expect("the file compiles");
    let (placed, unviable) = Default::default();
    let mut writer = Writer { places: mutants.places(file), mutants, left, placed, unviable };
    writer.visit_file_mut(&mut tree);
    Instrumented { text: quote!(#tree).to_string(), placed: writer.placed, unviable: writer.unviable }
}

/// What may stand in a place, by number.
type Others = Vec<(u32, TokenStream)>;

struct Writer<'a> {
    places: Places,
    mutants: &'a Mutants,
    left: &'a Left,
    placed: BTreeSet<u32>,
    unviable: BTreeSet<u32>,
}

impl Writer<'_> {
    /// Returns the mutants of a place that are not left out, each with the text that replaces it.
    fn at(&mut self, genre: Genre, start: LineColumn) -> Vec<(u32, String)> {
        let position = Position { line: start.line, column: start.column + 1 };
        let numbers = self.places.get(&(genre, position)).into_iter().flatten().copied();
        let numbers = numbers.filter(|number| !self.left.mutants.contains(number));
        let found: Vec<_> = numbers.map(|number| (number, self.mutants.get(number).replacement.clone())).collect();
        self.placed.extend(found.iter().map(|(number, _)| number));
        found
    }

    /// Returns the values that may stand in a place.
    fn values_at(&mut self, genre: Genre, start: LineColumn) -> Vec<(u32, Expr)> {
        let found = self.at(genre, start);
        found
            .iter()
            .map(|(number, value)| (*number, parse_str(value).expect("a replacement is an expression")))
            .collect()
    }

    /// Goes through a function, which is `const` no more where something in it is changed.
    fn function(&mut self, signature: &mut Signature, body: &mut Block) {
        if signature.constness.is_some() && self.left.constant.contains(&signature.ident.to_string()) {
            return;
        }
        let before = self.placed.len();
        let first = body.stmts.first().map(|first| first.span().start());
        let answers = first.map_or_else(Vec::new, |start| self.values_at(Genre::FnValue, start));
        visit_mut::visit_block_mut(self, body);
        let answers: Others = answers.iter().map(|(number, value)| (*number, quote!(return #value))).collect();
        if !answers.is_empty() {
            let switch = switch(quote!({}), &answers);
            body.stmts.insert(0, parse_quote!(#switch;));
        }
        if self.placed.len() > before {
            signature.constness = None;
        }
    }

    fn binary(&mut self, expression: &mut Expr, plain: &syn::ExprBinary) {
        let found = self.at(Genre::BinaryOperator, plain.op.span().start());
        if binds(&plain.left) || binds(&plain.right) {
            self.unviable.extend(found.iter().map(|(number, _)| number));
            return;
        }
        let changed = found.iter().map(|(number, operator)| {
            let op = parse_str(operator).expect("a replacement is an operator");
            let other = syn::ExprBinary { op, ..plain.clone() };
            (*number, quote!(#other))
        });
        replace(expression, &changed.collect());
    }

    fn unary(&mut self, expression: &mut Expr, plain: &syn::ExprUnary) {
        let found = self.at(Genre::UnaryOperator, plain.op.span().start());
        let inner = &plain.expr;
        replace(expression, &found.iter().map(|(number, _)| (*number, quote!(#inner))).collect());
    }

    /// Leaves one field after the other to the base.
    fn fields(&mut self, expression: &mut Expr, plain: &syn::ExprStruct) {
        let mut changed = Others::new();
        for (place, field) in plain.fields.iter().enumerate() {
            for (number, _) in self.at(Genre::StructField, field.span().start()) {
                let mut other = plain.clone();
                let kept = plain.fields.iter().enumerate().filter(|(index, _)| *index != place);
                other.fields = kept.map(|(_, field)| field.clone()).collect();
                if !other.fields.is_empty() {
                    other.fields.push_punct(Default::default());
                }
                changed.push((number, quote!(#other)));
            }
        }
        replace(expression, &changed);
    }
}

/// Returns an expression that chooses among the original and what may stand there instead.
fn switch(original: TokenStream, others: &Others) -> TokenStream {
    let numbers = others.iter().map(|(number, _)| *number);
    let (first, last) = (numbers.clone().min(), numbers.max());
    let arms = others.iter().map(|(number, other)| quote!(#number => #other,));
    quote!((match crate::mutation_switch::at(#first, #last) { 0u32 => #original, #(#arms)* _ => ::core::unreachable!() }))
}

fn replace(expression: &mut Expr, others: &Others) {
    if !others.is_empty() {
        *expression = Expr::Verbatim(switch(quote!(#expression), others));
    }
}

/// Tells whether a condition binds names.
fn binds(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) => binds(&binary.left) || binds(&binary.right),
        _ => false,
    }
}

impl VisitMut for Writer<'_> {
    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        let original = expression.clone();
        visit_mut::visit_expr_mut(self, expression);
        match &original {
            Expr::Binary(plain) => self.binary(expression, plain),
            Expr::Unary(plain) => self.unary(expression, plain),
            Expr::Struct(plain) => self.fields(expression, plain),
            _ => {}
        }
    }

    /// An arm that is not there is one whose guard says no: behind its own guard, which may bind names.
    fn visit_arm_mut(&mut self, arm: &mut syn::Arm) {
        let start = arm.span().start();
        let guard_start = arm.guard.as_ref().map(|(_, guard)| guard.span().start());
        visit_mut::visit_arm_mut(self, arm);
        if let (Some(start), Some((_, guard))) = (guard_start, &mut arm.guard) {
            let values = self.values_at(Genre::MatchArmGuard, start);
            replace(guard, &values.iter().map(|(number, value)| (*number, quote!(#value))).collect());
        }
        let gone: Others = self.at(Genre::MatchArm, start).iter().map(|(number, _)| (*number, quote!(false))).collect();
        if !gone.is_empty() {
            let (if_token, guard) = arm.guard.take().unwrap_or_else(|| (Default::default(), parse_quote!(true)));
            let switch = switch(quote!(true), &gone);
            arm.guard = Some((if_token, Box::new(Expr::Verbatim(quote!((#guard) && #switch)))));
        }
    }

    fn visit_item_fn_mut(&mut self, item: &mut syn::ItemFn) {
        self.function(&mut item.sig, &mut item.block);
    }

    fn visit_impl_item_fn_mut(&mut self, item: &mut syn::ImplItemFn) {
        self.function(&mut item.sig, &mut item.block);
    }

    fn visit_trait_item_fn_mut(&mut self, item: &mut syn::TraitItemFn) {
        if let Some(body) = &mut item.default {
            self.function(&mut item.sig, body);
        }
    }

    // What the compiler computes cannot ask which mutant is active.

    fn visit_item_const_mut(&mut self, _: &mut syn::ItemConst) {}

    fn visit_impl_item_const_mut(&mut self, _: &mut syn::ImplItemConst) {}

    fn visit_trait_item_const_mut(&mut self, _: &mut syn::TraitItemConst) {}

    fn visit_item_static_mut(&mut self, _: &mut syn::ItemStatic) {}

    fn visit_item_enum_mut(&mut self, _: &mut syn::ItemEnum) {}

    fn visit_type_mut(&mut self, _: &mut syn::Type) {}

    fn visit_generic_argument_mut(&mut self, _: &mut syn::GenericArgument) {}

    fn visit_expr_const_mut(&mut self, _: &mut syn::ExprConst) {}

    fn visit_pat_mut(&mut self, _: &mut syn::Pat) {}

    fn visit_expr_repeat_mut(&mut self, repeat: &mut syn::ExprRepeat) {
        self.visit_expr_mut(&mut repeat.expr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutant::{Mutant, Span};

    const TEXT: &str = "
pub const fn larger(a: u64, b: u64) -> bool { !is_even(a) && a > b }
fn kind(a: u64) -> Kind { match a { 0 if a == b => Kind { x: 1, ..NONE }, 1 => ONE, _ => NONE } }
const BITS: u64 = 1 << 20;
fn bound(a: Option<u64>) { if c && let Some(b) = a { drop(b) } }
";

    /// Puts mutants, each by genre, the text that it begins with, and what replaces that, into the text above.
    fn changed(wanted: &[(Genre, &str, &str)], left: &Left) -> Instrumented {
        let mutants = wanted.iter().map(|&(genre, place, replacement)| {
            let at = TEXT.find(place).expect("it is there");
            let line = 1 + TEXT[..at].matches('\n').count();
            let start = Position { line, column: at - TEXT[..at].rfind('\n').expect("no first line") };
            let (file, replacement) = ("a.rs".into(), replacement.into());
            Mutant { file, genre, name: place.into(), replacement, span: Span { start } }
        });
        instrument(TEXT, "a.rs", &mutants.collect::<Vec<_>>().into(), left)
    }

    fn assert_holds(instrumented: &Instrumented, part: &str) {
        let part: String = part.split_whitespace().collect();
        let text: String = instrumented.text.split_whitespace().collect();
        assert!(text.contains(&part), "{part}\n{text}");
    }

    #[test]
    fn every_genre_finds_its_place() {
        let wanted = [
            (Genre::FnValue, "!is_even", "false"),
            (Genre::UnaryOperator, "!is_even", ""),
            (Genre::BinaryOperator, "&& a > b", "||"),
            (Genre::BinaryOperator, "> b }", "<"),
            (Genre::MatchArmGuard, "a == b", "true"),
            (Genre::StructField, "x: 1", ""),
            (Genre::MatchArm, "1 => ONE", ""),
        ];
        let found = changed(&wanted, &Left::default());
        assert_eq!(found.placed, (1..=7).collect());
        assert_holds(&found, "pub fn larger");
        assert_holds(&found, "{ 0u32 => {}, 2u32 => return false, _ =>");
        assert_holds(&found, "{ 0u32 => !is_even(a), 1u32 => is_even(a), _ =>");
        assert_holds(&found, "3u32 => !is_even(a) || a > b, _ =>");
        assert_holds(&found, "{ 0u32 => a > b, 4u32 => a < b, _ =>");
        assert_holds(&found, "0 if (match crate::mutation_switch::at(5u32, 5u32) { 0u32 => a == b, 5u32 => true,");
        assert_holds(&found, "6u32 => Kind { ..NONE },");
        assert_holds(
            &found,
            "1 if (true) && (match crate::mutation_switch::at(7u32, 7u32) { 0u32 => true, 7u32 => false,",
        );
    }

    #[test]
    fn what_is_left_out_stays_as_it_is() {
        let wanted = [(Genre::BinaryOperator, "&& a > b", "||"), (Genre::UnaryOperator, "!is_even", "")];
        let left = Left { mutants: [1].into(), ..Left::default() };
        let found = changed(&wanted, &left);
        assert_eq!(found.placed, [2].into());
        let constant = Left { constant: ["larger".to_owned()].into(), ..Left::default() };
        let found = changed(&wanted, &constant);
        assert!(found.placed.is_empty());
        assert_holds(&found, "pub const fn larger(a: u64, b: u64) -> bool { !is_even(a) && a > b }");
    }

    #[test]
    fn constants_are_not_changed_and_conditions_that_bind_cannot_be() {
        let wanted = [(Genre::BinaryOperator, "<< 20", ">>"), (Genre::BinaryOperator, "&& let", "||")];
        let found = changed(&wanted, &Left::default());
        assert_holds(&found, "const BITS: u64 = 1 << 20;");
        assert_holds(&found, "if c && let Some(b) = a");
        assert_eq!(found.unviable, [2].into());
    }
}
