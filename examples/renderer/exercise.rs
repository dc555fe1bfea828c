//! `--exercise`: resizes and minimises the window by a script, and checks that steady frames cost no memory calls.
//!
//! An X server without a window manager does not minimise, and refuses a size of zero. So the window's extent is
//! *taken* to be zero for a while here: what is exercised is all that the renderer does about it, and not the window
//! system. The resizes are real.

use std::error::Error;

use freestone::ash::vk;

use crate::headless::vulkan::Count;
use crate::renderer::Drawn;
use crate::window::Window;

/// The frame from which on steady frames may cost nothing.
const STEADY_FROM: u32 = 60;

pub(crate) struct Exercise {
    frame_count: u32,
    sizes: [(u32, u32); 3],
    /// Which of the sizes a frame was drawn in.
    is_seen: [bool; 3],
    minimised_count: u32,
    steady_count: u32,
    busy_count: u32,
}

impl Exercise {
    /// Plans a run of so many frames, which ends with the size that it starts with.
    pub(crate) fn new(frame_count: u32, size: (u32, u32)) -> Self {
        let (width, height) = size;
        Self {
            frame_count,
            sizes: [(width * 3 / 4, height * 3 / 4), (width * 5 / 4, height * 5 / 4), size],
            is_seen: [false; 3],
            minimised_count: 0,
            steady_count: 0,
            busy_count: 0,
        }
    }

    /// Does to the window what the script says for a frame; returns the extent that is to be drawn.
    pub(crate) fn before(&mut self, frame: u32, window: &mut Window) -> vk::Extent2D {
        let at = |tenth: u32| frame == self.frame_count * tenth / 10;
        let due = [at(2), at(4), at(7)].iter().position(|&is_due| is_due);
        if let Some(index) = due {
            window.request_size(self.sizes[index]);
        }
        let is_minimised = (self.frame_count * 55 / 100..self.frame_count * 6 / 10).contains(&frame);
        self.minimised_count += u32::from(is_minimised);
        if is_minimised { vk::Extent2D::default() } else { window.extent() }
    }

    /// Checks what a frame has cost; `count` is how often the driver's memory functions were called in it.
    ///
    /// # Errors
    /// Where a steady frame called the driver or the heap.
    pub(crate) fn after(
        &mut self,
        frame: u32,
        drawn: &Drawn,
        extent: vk::Extent2D,
        count: Count,
    ) -> Result<(), Box<dyn Error>> {
        for (size, is_seen) in self.sizes.iter().zip(&mut self.is_seen) {
            *is_seen |= frame > 0 && drawn.is_shown && *size == (extent.width, extent.height);
        }
        if frame < STEADY_FROM || drawn.is_busy || !drawn.is_shown {
            self.busy_count += 1;
            return Ok(());
        }
        self.steady_count += 1;
        if count.calls() != 0 {
            return Err(format!("frame {frame} was steady and called the driver's memory functions: {count:?}").into());
        }
        if drawn.heap_calls != 0 {
            return Err(format!("frame {frame} was steady and made {} heap calls", drawn.heap_calls).into());
        }
        Ok(())
    }

    /// Checks that everything was exercised, and says what.
    ///
    /// # Errors
    /// Where a size was never drawn, the window never minimised, or hardly a frame steady.
    pub(crate) fn finish(&self) -> Result<String, Box<dyn Error>> {
        let Self { sizes, is_seen, minimised_count, steady_count, busy_count, .. } = *self;
        if let Some(index) = is_seen.iter().position(|&is_seen| !is_seen) {
            return Err(format!("no frame was drawn in the size {:?}", sizes[index]).into());
        }
        let expected = self.frame_count.saturating_sub(STEADY_FROM) / 4;
        if minimised_count == 0 || steady_count < expected {
            let counts = format!("{minimised_count} frames minimised, {steady_count} steady");
            return Err(format!("{counts}, of which {expected} were expected").into());
        }
        Ok(format!(
            "3 resizes, {minimised_count} frames with no extent; {steady_count} steady frames without a memory call of \
             driver or heap, {busy_count} others"
        ))
    }
}
