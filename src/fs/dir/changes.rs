//! What a `Dir` creates, removes and renames.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Dir;
use crate::fs::RenameOptions;
use crate::fs::create_dir::MODE;
use crate::fs::path::{c_path, change, on_thread};
use crate::fs::remove::StopOnDrop;
use crate::fs::remove_tree::remove_tree;
use crate::op::Change;

impl Dir {
    /// Creates a directory, as [`fs::create_dir`](fn@crate::fs::create_dir) does.
    ///
    /// # Errors
    ///
    /// The kernel's, and as for [all methods](Self#errors); `InvalidInput` for a path that does not
    /// end in a name.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the directory may be created or not, perhaps a little later.
    #[doc(alias = "mkdirat")]
    pub async fn create_dir(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let at = self.locate(path.as_ref(), "create directory").await?;
        change(Change::CreateDirectory { at, mode: MODE }).await
    }

    /// Creates a directory and all that are missing on the way to it. Directories that exist
    /// already are no error.
    ///
    /// # Errors
    ///
    /// As for [`create_dir`](Self::create_dir). What was created until then stays.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, some of the directories may be created.
    pub async fn create_dir_all(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let above: Vec<_> = path.ancestors().filter(|above| above.file_name().is_some()).collect();
        for above in above.into_iter().rev() {
            match self.create_dir(above).await {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => result?,
            }
        }
        // What exists already may be something else.
        self.open_dir(path).await.map(drop)
    }

    /// Removes the name of a file, of a symbolic link as well, as
    /// [`fs::remove_file`](crate::fs::remove_file) does.
    ///
    /// # Errors
    ///
    /// As for [`create_dir`](Self::create_dir); `IsADirectory`.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the name may be removed or not, perhaps a little later.
    #[doc(alias = "unlinkat")]
    pub async fn remove_file(&self, path: impl AsRef<Path>) -> io::Result<()> {
        change(Change::RemoveFile(self.locate(path.as_ref(), "remove file").await?)).await
    }

    /// Removes an empty directory, as [`fs::remove_dir`](crate::fs::remove_dir) does.
    ///
    /// # Errors
    ///
    /// As for [`create_dir`](Self::create_dir); `DirectoryNotEmpty`, `NotADirectory`.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the directory may be removed or not, perhaps a little later.
    pub async fn remove_dir(&self, path: impl AsRef<Path>) -> io::Result<()> {
        change(Change::RemoveDirectory(self.locate(path.as_ref(), "remove directory").await?)).await
    }

    /// Removes a directory and all that is in it, as
    /// [`fs::remove_dir_all`](crate::fs::remove_dir_all) does, on a thread. With
    /// [`Resolve::no_xdev`](crate::fs::Resolve::no_xdev) it ends at a directory on which another
    /// file system is mounted, with `CrossesDevices`, and leaves that alone.
    ///
    /// # Errors
    ///
    /// As for [`fs::remove_dir_all`](crate::fs::remove_dir_all) and for
    /// [`create_dir`](Self::create_dir).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the thread stops after the entry that it is at. What is removed by then is gone.
    pub async fn remove_dir_all(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let at = self.locate(path, "remove directory").await?;
        let stop = StopOnDrop::default();
        let stopped = Arc::clone(&stop.0);
        let stays = self.resolve.stays_on_mount();
        on_thread(format_args!("remove directory {}", path.display()), move || {
            remove_tree(at.directory(), at.path(), stays, &stopped)
        })
        .await
    }

    /// Renames a file or directory, into `to_dir` or into this one, and replaces a file that has
    /// the new name, as [`fs::rename`](fn@crate::fs::rename) does.
    ///
    /// # Errors
    ///
    /// As for [`fs::rename`](fn@crate::fs::rename) and for [`create_dir`](Self::create_dir).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the file may be renamed or not, perhaps a little later.
    #[doc(alias = "renameat")]
    pub async fn rename(
        &self,
        from: impl AsRef<Path>,
        to_dir: &Self,
        to: impl AsRef<Path>,
    ) -> io::Result<()> {
        self.rename_with(from, to_dir, to, RenameOptions::replace()).await
    }

    /// [`rename`](Self::rename) that says what becomes of a file that has the new name already.
    ///
    /// # Errors
    ///
    /// As for [`fs::rename_with`](crate::fs::rename_with) and for
    /// [`create_dir`](Self::create_dir).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// As for [`rename`](Self::rename).
    pub async fn rename_with(
        &self,
        from: impl AsRef<Path>,
        to_dir: &Self,
        to: impl AsRef<Path>,
        options: RenameOptions,
    ) -> io::Result<()> {
        let from = self.locate(from.as_ref(), "rename").await?;
        let to = to_dir.locate(to.as_ref(), "rename to").await?;
        change(Change::Rename { from, to, flags: options.flags() }).await
    }

    /// Gives a file another name, in `link_dir` or in this one, as
    /// [`fs::hard_link`](crate::fs::hard_link) does. A symbolic link is not followed.
    ///
    /// # Errors
    ///
    /// As for [`fs::hard_link`](crate::fs::hard_link) and for [`create_dir`](Self::create_dir).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the link may be created or not, perhaps a little later.
    #[doc(alias = "linkat")]
    pub async fn hard_link(
        &self,
        original: impl AsRef<Path>,
        link_dir: &Self,
        link: impl AsRef<Path>,
    ) -> io::Result<()> {
        let from = self.locate(original.as_ref(), "link").await?;
        let to = link_dir.locate(link.as_ref(), "link to").await?;
        change(Change::HardLink { from, to }).await
    }

    /// Creates a symbolic link. Where it leads is not checked: a link that leads outside is not
    /// followed by this type, but is by others.
    ///
    /// # Errors
    ///
    /// As for [`fs::symlink`](crate::fs::symlink) and for [`create_dir`](Self::create_dir).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the link may be created or not, perhaps a little later.
    #[doc(alias = "symlinkat")]
    pub async fn symlink(
        &self,
        original: impl AsRef<Path>,
        link: impl AsRef<Path>,
    ) -> io::Result<()> {
        let target = c_path(original.as_ref(), "create symbolic link to")?;
        let at = self.locate(link.as_ref(), "create symbolic link").await?;
        change(Change::SymbolicLink { target, at }).await
    }
}
