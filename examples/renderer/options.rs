//! What the command line says.

use std::path::PathBuf;

use crate::headless::layers_wanted;
use crate::headless::vulkan::Layers;

/// Frames in a second of the scene's time, where frames are counted and not timed.
const RATE: f32 = 60.0;

pub(crate) struct Options {
    /// Ends after so many frames; the scene's time is counted then, so that every run shows the same.
    pub(crate) frame_count: Option<u32>,
    pub(crate) screenshot: Option<PathBuf>,
    pub(crate) seed: u64,
    pub(crate) size: (u32, u32),
    /// The scene's time in the first frame, in seconds.
    pub(crate) start: f32,
    pub(crate) is_exercise: bool,
    pub(crate) layers: Layers,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            frame_count: None,
            screenshot: None,
            seed: 7,
            size: (1280, 720),
            start: 0.0,
            is_exercise: arguments.iter().any(|argument| argument == "--exercise"),
            layers: layers_wanted(arguments),
        };
        let mut arguments =
            arguments.iter().filter(|name| !matches!(name.as_str(), "--exercise" | "--require-validation"));
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} is no option, or lacks its value"))?;
            options.set(name, value).ok_or_else(|| format!("{name} {value}: no such option, or no such value"))?;
        }
        match options.frame_count {
            None if options.is_exercise || options.screenshot.is_some() => {
                Err("--exercise and --screenshot need --frames".to_owned())
            }
            Some(count) if options.is_exercise && count < 60 => Err("--exercise needs 60 frames or more".to_owned()),
            _ => Ok(options),
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "--frames" => self.frame_count = Some(value.parse().ok().filter(|&count| count > 0)?),
            "--screenshot" => self.screenshot = Some(PathBuf::from(value)),
            "--seed" => self.seed = value.parse().ok()?,
            "--size" => self.size = size(value)?,
            "--start" => self.start = value.parse().ok().filter(|start: &f32| start.is_finite())?,
            _ => return None,
        }
        Some(())
    }

    /// Returns the scene's time in a frame that is drawn so many seconds after the first.
    pub(crate) fn time(&self, frame: u32, elapsed: f32) -> f32 {
        self.start + if self.frame_count.is_some() { frame as f32 / RATE } else { elapsed }
    }
}

/// Reads `WIDTHxHEIGHT`.
fn size(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    let side = |text: &str| text.parse().ok().filter(|length| (64..=8192).contains(length));
    Some((side(width)?, side(height)?))
}
