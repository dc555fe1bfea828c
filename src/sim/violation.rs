//! A wrong use of the interface, as recorded.

use super::function::Function;
use core::fmt;

/// One wrong use of the interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Identity of the rule: a VUID of the Vulkan specification, or `SIM-...` for a rule that has none.
    pub rule: &'static str,
    /// The function that was called.
    pub function: Function,
    /// What is wrong, with all numbers.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}: {}", self.rule, self.function, self.message)
    }
}
