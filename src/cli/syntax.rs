//! What the syntax of a command consists of: options, operands, and where their values go among the command's arguments.

use std::ffi::OsString;
use std::ops::RangeInclusive;

use super::Usage;
use super::command::{Command, Name};
use super::options::Opt;

/// Says what is wrong with a value.
pub type Wrong = String;

/// An option that a command takes, and the function that stores its value in the command's arguments. The value of a flag is empty.
pub type Taken<A> = (Opt, fn(&mut A, OsString) -> Result<(), Wrong>);

/// The operands of a command.
pub struct Operands<A> {
    /// The placeholder in help and messages; empty if there are none.
    pub placeholder: &'static str,
    /// The permitted number.
    pub count: RangeInclusive<usize>,
    /// What the usage line says of them, if placeholder and number do not say enough.
    pub synopsis: Option<&'static str>,
    /// Stores one in the command's arguments.
    pub put: fn(&mut A, OsString) -> Result<(), Usage>,
}

/// No limit on the number of operands.
pub const MANY: usize = usize::MAX;

/// The syntax of a command whose arguments are an `A`.
pub struct Syntax<A> {
    /// The command's name.
    pub name: Name,
    /// The arguments before any option or operand is read.
    pub start: A,
    /// The options.
    pub options: Vec<Taken<A>>,
    /// The operands.
    pub operands: Operands<A>,
    /// Makes the command.
    pub make: fn(A) -> Command,
}

/// The syntax of a command that another program runs with words none of which is an option of its own: a `finish`, which s6-supervise
/// runs, and `complete`, which shells do.
pub struct Raw {
    /// The command's name.
    pub name: Name,
    /// What the usage line says of the arguments.
    pub synopsis: &'static str,
    /// Makes the command.
    pub make: fn(Vec<OsString>) -> Command,
}

/// What parsing and help need of a command's syntax, whatever its arguments are.
pub trait Grammar {
    /// Returns the options.
    fn options(&self) -> Vec<Opt>;
    /// Returns the operands as the usage line has them; empty if there are none.
    fn synopsis(&self) -> String;
    /// Returns the placeholder of the operands and the largest number of them; if there are none, it is empty.
    fn operands(&self) -> (&'static str, usize);
    /// Parses what follows the command's name. `program` is the path of the executable in messages.
    fn parse(self: Box<Self>, words: Vec<OsString>, program: &str) -> Result<Command, Usage>;
}

impl<A> Operands<A> {
    /// Returns those of a command that takes none.
    pub fn none() -> Operands<A> {
        Operands { placeholder: "", count: 0..=0, synopsis: None, put: |_, _| Ok(()) }
    }

    /// Returns them as the usage line has them: in brackets if they can be left out, with an ellipsis if there can be many.
    pub fn synopsis(&self) -> String {
        let (placeholder, count) = (self.placeholder, &self.count);
        let operand = if *count.start() == 0 { format!("[{placeholder}]") } else { placeholder.to_owned() };
        match (self.synopsis, *count.end()) {
            (Some(synopsis), _) => synopsis.to_owned(),
            (None, 0) => String::new(),
            (None, 1) => operand,
            (None, _) => format!("{operand}..."),
        }
    }
}
