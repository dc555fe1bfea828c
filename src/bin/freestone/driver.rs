//! Which driver the user asks for.

use std::fmt;
use std::str::FromStr;

/// The value of `--driver`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DriverChoice {
    /// What the Vulkan loader finds.
    Real,
    /// The simulated driver, with the profile of this name.
    Simulated(String),
}

impl FromStr for DriverChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "real" => Ok(Self::Real),
            Some(("sim", profile)) if !profile.is_empty() => Ok(Self::Simulated(profile.into())),
            _ => Err("neither \"real\" nor \"sim:PROFILE\"".into()),
        }
    }
}

impl fmt::Display for DriverChoice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Real => out.write_str("real"),
            Self::Simulated(profile) => write!(out, "sim:{profile}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DriverChoice;

    #[test]
    fn reads_what_it_writes() {
        for text in ["real", "sim:unified", "sim:discrete-bar256"] {
            assert_eq!(text.parse::<DriverChoice>().expect("good").to_string(), text);
        }
        for text in ["", "sim", "sim:", "real:x", "lavapipe"] {
            assert!(text.parse::<DriverChoice>().is_err(), "{text}");
        }
    }
}
