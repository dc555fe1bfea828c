//! What the user asks for: an upload with its bytes, a download; each with the cursor that says how far it has come.
//!
//! They are made without an uploader, so that what is wrong with the parts of a target is found where they are named.
//! What the builders are told, layouts, is looked at as a whole before anything is recorded.

use ash::vk;
use bytemuck::NoUninit;

use super::error::TransferError;
use super::target::{ImageRegion, ImageTarget, QueueFamilies, ResourceUse};
use super::transfer::{Direction, PieceCopy, State, Transfer};

/// Bytes on their way to a buffer or an image, and how far they have come.
///
/// `D` holds the bytes: a slice (of other values too, see [`values_to_buffer`](Self::values_to_buffer)), a `Vec<u8>`,
/// an `Arc<[u8]>`; they must not change before the upload is done. An upload that the ring cannot take at once goes on
/// where it stopped, at the next [`Uploader::record`](super::Uploader::record).
#[derive(Clone, Debug)]
#[must_use = "an upload does nothing until an uploader records it"]
pub struct Upload<D> {
    pub(super) transfer: Transfer,
    pub(super) data: D,
}

impl<D: AsRef<[u8]>> Upload<D> {
    /// Brings bytes to a range of a buffer of `size` bytes.
    ///
    /// # Errors
    /// `Empty` or `OutOfBounds`.
    pub fn to_buffer(buffer: vk::Buffer, size: u64, offset: u64, data: D) -> Result<Self, TransferError> {
        let transfer = Transfer::of_buffer(buffer, size, offset, data.as_ref().len() as u64)?;
        Ok(Self { transfer, data })
    }

    /// Brings bytes to regions of an image: those of the first region first, each tightly packed.
    ///
    /// Regions must not overlap: their copies are not ordered. `image.regions()` names all levels and layers.
    ///
    /// # Errors
    /// `WrongLength` if the bytes are not those that the regions need, or what is wrong with a region: `Empty`,
    /// `TooLarge`, `NoSuchLevel`, `NoSuchLayer`, `OutsideLevel`, `Unaligned`, `UnsupportedFormat`, `Multisampled`,
    /// `MissingUsage`.
    pub fn to_image(
        image: ImageTarget,
        regions: impl IntoIterator<Item = ImageRegion>,
        data: D,
    ) -> Result<Self, TransferError> {
        let regions = regions.into_iter().collect();
        let transfer = Transfer::of_image(image, regions, Direction::Upload)?;
        checked(data.as_ref(), &transfer)?;
        Ok(Self { transfer, data })
    }

    /// Has a barrier recorded before the first copy: what has used the target is done with it then, and the image is
    /// brought from that layout to the one in which it is copied.
    #[must_use = "the upload is handed back"]
    pub fn before(mut self, before: ResourceUse) -> Self {
        self.transfer.before = Some(before);
        self
    }

    /// Has a barrier recorded behind the last copy: what uses the target next sees the bytes, and finds the image in
    /// that layout, which cannot be `UNDEFINED`: [`ResourceUse::image`] names one.
    #[must_use = "the upload is handed back"]
    pub fn after(mut self, after: ResourceUse) -> Self {
        self.transfer.after = Some(after);
        self
    }

    /// Has the target handed to another queue family, in the barrier behind the last copy; `after` is as for
    /// [`after`](Self::after), and `families.from` is the family that records the copies. The other family records
    /// [`Uploader::record_acquire`](super::Uploader::record_acquire), in work that waits for this one by a semaphore,
    /// at the stage `ALL_COMMANDS`.
    #[must_use = "the upload is handed back"]
    pub fn hand_over(mut self, after: ResourceUse, families: QueueFamilies) -> Self {
        self.transfer.families = Some(families).filter(|families| families.from != families.to);
        self.after(after)
    }

    /// Chooses the layout in which the image is copied: `TRANSFER_DST_OPTIMAL` (if nothing is said), `GENERAL`, or
    /// `SHARED_PRESENT_KHR`.
    #[must_use = "the upload is handed back"]
    pub fn layout(mut self, layout: vk::ImageLayout) -> Self {
        self.transfer.set_layout(layout);
        self
    }

    /// Returns the bytes in all.
    pub fn total_bytes(&self) -> u64 {
        self.transfer.len()
    }

    /// Returns the bytes that are recorded or written.
    pub fn done_bytes(&self) -> u64 {
        self.transfer.done()
    }

    /// Tells whether everything is recorded or written.
    pub fn is_done(&self) -> bool {
        self.transfer.state() == State::Finished
    }

    /// Gives the bytes back.
    pub fn into_data(self) -> D {
        self.data
    }
}

impl<'a> Upload<&'a [u8]> {
    /// Brings values to a range of a buffer of `size` bytes, as the bytes that they are.
    ///
    /// # Errors
    /// As [`to_buffer`](Self::to_buffer).
    ///
    /// # Examples
    /// ```
    /// use freestone::{Upload, ash::vk};
    ///
    /// let upload = Upload::values_to_buffer(vk::Buffer::null(), 1024, 512, &[[0.0_f32; 3]; 4])?;
    /// assert_eq!(upload.total_bytes(), 48);
    /// # Ok::<(), freestone::TransferError>(())
    /// ```
    pub fn values_to_buffer<T: NoUninit>(
        buffer: vk::Buffer,
        size: u64,
        offset: u64,
        values: &'a [T],
    ) -> Result<Self, TransferError> {
        Self::to_buffer(buffer, size, offset, bytemuck::cast_slice(values))
    }

    /// Brings values to regions of an image, as the bytes that they are.
    ///
    /// # Errors
    /// As [`to_image`](Self::to_image).
    pub fn values_to_image<T: NoUninit>(
        image: ImageTarget,
        regions: impl IntoIterator<Item = ImageRegion>,
        values: &'a [T],
    ) -> Result<Self, TransferError> {
        Self::to_image(image, regions, bytemuck::cast_slice(values))
    }
}

/// Returns the bytes of an upload.
///
/// # Errors
/// `WrongLength` where they are not as many as the target needs.
pub(super) fn checked<'a>(bytes: &'a [u8], transfer: &Transfer) -> Result<&'a [u8], TransferError> {
    let (given, expected) = (bytes.len() as u64, transfer.len());
    if given == expected { Ok(bytes) } else { Err(TransferError::WrongLength { given, expected }) }
}

/// Returns the bytes of the piece at the cursor, which were checked to be there.
pub(super) fn next_bytes<'a>(bytes: &'a [u8], transfer: &Transfer, piece: &PieceCopy) -> &'a [u8] {
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    bytes.get(index(transfer.done())..index(transfer.done() + piece.bytes)).unwrap_or_default()
}

/// A range of a buffer, or regions of an image, on their way to the host.
#[derive(Clone, Debug)]
#[must_use = "a download does nothing until a readback records it"]
pub struct Download {
    pub(super) transfer: Transfer,
}

impl Download {
    /// Reads a range of a buffer of `size` bytes.
    ///
    /// # Errors
    /// `Empty` or `OutOfBounds`.
    pub fn of_buffer(buffer: vk::Buffer, size: u64, offset: u64, len: u64) -> Result<Self, TransferError> {
        Ok(Self { transfer: Transfer::of_buffer(buffer, size, offset, len)? })
    }

    /// Reads regions of an image: those of the first region first, each tightly packed.
    ///
    /// # Errors
    /// What is wrong with a region, as for [`Upload::to_image`](super::Upload::to_image).
    pub fn of_image(image: ImageTarget, regions: impl IntoIterator<Item = ImageRegion>) -> Result<Self, TransferError> {
        let regions = regions.into_iter().collect();
        Ok(Self { transfer: Transfer::of_image(image, regions, Direction::Download)? })
    }

    /// Has a barrier recorded before the first copy: it waits for that use, and brings an image from that layout to the
    /// one in which it is copied. From `UNDEFINED` nothing would be left to read: [`ResourceUse::image`] names another.
    #[must_use = "the download is handed back"]
    pub fn before(mut self, before: ResourceUse) -> Self {
        self.transfer.before = Some(before);
        self
    }

    /// Has a barrier recorded behind the last copy, to the next use, in which an image has a layout that is not
    /// `UNDEFINED`.
    #[must_use = "the download is handed back"]
    pub fn after(mut self, after: ResourceUse) -> Self {
        self.transfer.after = Some(after);
        self
    }

    /// Chooses the layout in which the image is copied: `TRANSFER_SRC_OPTIMAL` (if nothing is said), `GENERAL`, or
    /// `SHARED_PRESENT_KHR`.
    #[must_use = "the download is handed back"]
    pub fn layout(mut self, layout: vk::ImageLayout) -> Self {
        self.transfer.set_layout(layout);
        self
    }

    /// Returns the bytes in all.
    pub fn total_bytes(&self) -> u64 {
        self.transfer.len()
    }

    /// Returns the bytes whose copies are recorded.
    pub fn done_bytes(&self) -> u64 {
        self.transfer.done()
    }

    /// Tells whether everything is recorded.
    pub fn is_done(&self) -> bool {
        self.transfer.state() == State::Finished
    }
}
