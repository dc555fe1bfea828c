//! Peers that several threads use at once: freestone as it is, the others behind the standard library's mutex.

use std::sync::Mutex;

use crate::driver::Driver;
use crate::own::Freestone;
use crate::peer::Peer;
use crate::request::Request;

/// An allocator for many threads.
pub(crate) trait Shared: Sync {
    /// What frees an allocation, on any thread.
    type Handle: Send;

    fn new(driver: &Driver) -> Self;
    fn allocate(&self, request: &Request) -> Option<Self::Handle>;
    fn free(&self, handle: Self::Handle);
    /// Allocates for all; they are of one class.
    fn allocate_many(&self, requests: &[Request]) -> Option<Vec<Self::Handle>>;
    /// Frees all, and empties the vector.
    fn free_many(&self, handles: &mut Vec<Self::Handle>);
}

/// Gives out handles of 48 bytes and does nothing: what is left is the harness.
pub(crate) struct Nothing;

impl Shared for Nothing {
    type Handle = [u64; 6];

    fn new(_driver: &Driver) -> Self {
        Self
    }

    fn allocate(&self, request: &Request) -> Option<[u64; 6]> {
        Some(core::hint::black_box([request.size; 6]))
    }

    fn free(&self, handle: [u64; 6]) {
        core::hint::black_box(handle);
    }

    fn allocate_many(&self, requests: &[Request]) -> Option<Vec<[u64; 6]>> {
        requests.iter().map(|request| self.allocate(request)).collect()
    }

    fn free_many(&self, handles: &mut Vec<[u64; 6]>) {
        handles.drain(..).for_each(|handle| self.free(handle));
    }
}

/// A peer that wants `&mut self`, locked for each call, and once for many.
pub(crate) struct Locked<P>(Mutex<P>);

impl<P: Peer + Send> Shared for Locked<P>
where
    P::Handle: Send,
{
    type Handle = P::Handle;

    fn new(driver: &Driver) -> Self {
        Self(Mutex::new(P::new(driver)))
    }

    fn allocate(&self, request: &Request) -> Option<P::Handle> {
        self.0.lock().expect("no peer panics").allocate(request)
    }

    fn free(&self, handle: P::Handle) {
        self.0.lock().expect("no peer panics").free(handle);
    }

    fn allocate_many(&self, requests: &[Request]) -> Option<Vec<P::Handle>> {
        let mut peer = self.0.lock().expect("no peer panics");
        requests.iter().map(|request| peer.allocate(request)).collect()
    }

    fn free_many(&self, handles: &mut Vec<P::Handle>) {
        let mut peer = self.0.lock().expect("no peer panics");
        handles.drain(..).for_each(|handle| peer.free(handle));
    }
}

impl Shared for Freestone {
    type Handle = freestone::Allocation;

    fn new(driver: &Driver) -> Self {
        Self::open(driver)
    }

    fn allocate(&self, request: &Request) -> Option<freestone::Allocation> {
        self.serve(request)
    }

    fn free(&self, handle: freestone::Allocation) {
        self.take_back(handle);
    }

    fn allocate_many(&self, requests: &[Request]) -> Option<Vec<freestone::Allocation>> {
        self.serve_many(requests)
    }

    fn free_many(&self, handles: &mut Vec<freestone::Allocation>) {
        self.take_back_many(handles);
    }
}
