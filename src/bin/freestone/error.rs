//! What ends the tool, in one line, and with which exit code.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done, or whoever read the output had enough of it |
//! | 1 | the driver, the allocator or the validation layers found fault |
//! | 2 | bad input: an argument, a trace, a file that cannot be written |

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use freestone::sim::{Profile, ProfileError};
use freestone::trace::TraceError;
use freestone::{AllocationError, CreateError};

use crate::replay::ReplayError;
use crate::soak::Finding;
use crate::vulkan::Unavailable;

/// What ends the tool early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A trace that cannot be replayed.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// No driver, or no validation layers where they are required.
    #[error("{0}; \"--driver sim:PROFILE\" needs no driver")]
    Vulkan(#[from] Unavailable),
    /// Devices that cannot be opened or asked; the others were shown.
    #[error("not shown: {0}")]
    Devices(String),
    /// An operation of a trace failed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A file that cannot be written.
    #[error("{}: cannot be written: {source}; check that its folder exists and has room, and its rights", .file.display())]
    Write {
        /// The file as the user named it.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The driver or the validation layers complained; the table says about which trace.
    #[error("{messages} validation messages, {violations} violations recorded by the simulated driver")]
    Faults {
        /// Messages of the validation layers.
        messages: u64,
        /// Mistakes that the simulated driver recorded.
        violations: u64,
    },
    /// A soak found something.
    #[error(transparent)]
    Finding(#[from] Box<Finding>),
    /// A soak whose time was over before anything was compared.
    #[error("nothing was soaked: {steps} steps, contents compared {checks} times; ask for more minutes or steps")]
    Idle {
        /// Steps of all threads.
        steps: u64,
        /// Comparisons of contents.
        checks: u64,
    },
    /// Layers are required of a driver that they cannot listen to.
    #[error(
        "\"--require-validation\" is for real drivers: a simulated one checks every call itself, and no layer listens to it"
    )]
    NoLayersInside,
    /// A simulated driver of a name that there is not.
    #[error("there is no simulated profile {0:?}; there are {names}; the name of a device file ends in .device", names = profile_names())]
    NoSuchProfile(String),
    /// A device file that cannot be opened.
    #[error("{file}: {source}")]
    NoDeviceFile {
        /// The file's name, as given.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// A device file with a mistake.
    #[error("{file}: {source}")]
    DeviceFile {
        /// The file's name, as given.
        file: String,
        /// The line, and what is wrong there.
        source: ProfileError,
    },
    /// The allocator cannot be created on the device.
    #[error(transparent)]
    Allocator(#[from] CreateError),
    /// The allocator refuses an intent.
    #[error(transparent)]
    Allocation(#[from] AllocationError),
    /// The standard output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// Tells the user, and returns the exit code.
    ///
    /// A closed pipe (`freestone devices | head -1`) is no fault: nobody is told, and the code is 0.
    pub(crate) fn report(&self) -> ExitCode {
        if let Self::Output(error) = self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            return ExitCode::SUCCESS;
        }
        let line = self.to_string().replace(['\n', '\r'], " ");
        // Where the error stream is closed too, the exit code still tells.
        let _closed = io::Write::write_fmt(&mut io::stderr(), format_args!("error: {line}\n"));
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Trace(_)
            | Self::Write { .. }
            | Self::Idle { .. }
            | Self::NoLayersInside
            | Self::NoSuchProfile(_)
            | Self::NoDeviceFile { .. }
            | Self::DeviceFile { .. } => 2,
            Self::Vulkan(_)
            | Self::Devices(_)
            | Self::Replay(_)
            | Self::Faults { .. }
            | Self::Finding(_)
            | Self::Allocator(_)
            | Self::Allocation(_)
            | Self::Output(_) => 1,
        }
    }
}

fn profile_names() -> String {
    Profile::all().into_iter().chain(Profile::corpus()).map(|profile| profile.name).collect::<Vec<_>>().join(", ")
}
