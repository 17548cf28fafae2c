//! Media that apps upload before they use it.

use super::{Refused, World};
use crate::model::ids::MediaId;
use crate::model::media::Media;
use crate::model::upload::Upload;

impl World {
    /// A new id for an upload.
    pub(crate) fn next_media_id(&mut self) -> MediaId {
        let at_ms = self.time.tick();
        MediaId(self.time.id_at(at_ms))
    }

    /// A new id for anything else.
    pub(crate) fn next_id(&mut self) -> u64 {
        let at_ms = self.time.tick();
        self.time.id_at(at_ms)
    }

    pub(crate) fn keep_upload(&mut self, upload: Upload) {
        self.uploads.insert(upload.id, upload);
    }

    pub(crate) fn upload(&self, id: MediaId) -> Option<&Upload> {
        self.uploads.get(&id)
    }

    pub(crate) fn upload_mut(&mut self, id: MediaId) -> Option<&mut Upload> {
        self.uploads.get_mut(&id)
    }

    /// The upload as part of a post or message.
    pub(super) fn uploaded(&self, id: u64) -> Result<Media, Refused> {
        let upload = self.uploads.get(&MediaId(id));
        upload
            .and_then(Upload::medium)
            .ok_or(Refused::UnknownUpload(id))
    }
}
