//! PROPFIND of files and folders (RFC 4918 §9.1), a page of members at a time.

use async_trait::async_trait;
use http::Response;

use super::properties::FileSight;
use super::{FileRequest, not_allowed};
use crate::dav::error::DavError;
use crate::dav::path::{Location, push_segment};
use crate::dav::server::call::{Call, Depth};
use crate::dav::server::chunked::{self, Pages, Progress};
use crate::dav::server::plan::Plan;
use crate::dav::server::properties::{Resource, Scene};
use crate::dav::server::propfind::finite_depth;
use crate::dav::upstream::Body;
use crate::dav::xml::{PropRequest, Writer};
use crate::store::attachments;
use crate::store::files::{FileHome, FileNode, FilePath, SharedFileStore};

/// Members that are read at once.
const PAGE: usize = 500;

impl FileRequest {
    /// Describes a file or folder, and with `Depth: 1` the members of a folder.
    pub(super) async fn propfind(mut self) -> Result<Response<Body>, DavError> {
        let depth = self.call.strict_depth()?;
        let root = self.call.xml().await?;
        let request = PropRequest::read_propfind(root.as_ref())?;
        let sight = self.look(&[]).await?;
        let node = self.existing(&sight)?.clone();
        self.is_known_already(&sight)?;
        let with_members = match depth {
            Some(Depth::Zero) => false,
            Some(Depth::One) => node.is_folder(),
            None | Some(Depth::Infinity) if node.is_folder() => return Err(finite_depth()),
            None | Some(Depth::Infinity) => false,
        };
        let minimal = self.call.prefers("return=minimal");
        let plan = Plan::for_request(&request, minimal);
        let step = Step::This { node, with_members };
        chunked::multistatus(Listing { request: self, home: sight.view.home, plan, step: Some(step) }, minimal).await
    }
}

enum Step {
    This {
        node: FileNode,
        with_members: bool,
    },
    /// What is in this folder, after that name.
    Members(FileNode, Option<String>),
}

struct Listing {
    request: FileRequest,
    home: FileHome,
    plan: Plan,
    step: Option<Step>,
}

impl Listing {
    fn write(&self, path: &FilePath, node: &FileNode, out: &mut Writer) {
        let inner = self.request.call.inner();
        let sight = FileSight {
            home: self.request.home,
            node,
            locks: self.home.locks.iter().filter(|lock| lock.covers(path)).collect(),
            used: self.home.used,
            quota: self.request.room().octets,
        };
        let scene = Scene { server: inner, who: &self.request.call.who, is_owner: true, data: None };
        let mut href = Location::File { home: self.request.home, path: self.request.path.clone() }.href();
        if *path != self.request.path {
            if !href.ends_with('/') {
                href.push('/');
            }
            push_segment(&mut href, path.name());
        }
        if node.is_folder() && !href.ends_with('/') {
            href.push('/');
        }
        self.plan.write(&scene, &Resource::File(&sight), &href, out);
    }
}

#[async_trait]
impl Pages for Listing {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        match self.step.take() {
            None => return Ok(Progress::Done),
            Some(Step::This { node, with_members }) => {
                self.write(&self.request.path, &node, out);
                self.step = with_members.then_some(Step::Members(node, None));
            }
            Some(Step::Members(folder, after)) => {
                let page = self.request.store.list(folder.id, after.as_deref(), PAGE).await?;
                // What belongs to calendar objects is no file among others.
                for node in page.iter().filter(|node| node.name != attachments::AREA) {
                    self.write(&self.request.path.child(&node.name), node, out);
                }
                let last = page.last().filter(|_| page.len() == PAGE).map(|node| node.name.clone());
                self.step = last.map(|last| Step::Members(folder, Some(last)));
            }
        }
        Ok(if self.step.is_some() { Progress::More } else { Progress::Done })
    }
}

impl Call {
    /// Answers a request about `/files/`, where every home is: the actor is told of their own.
    pub(super) async fn file_homes(mut self, store: &SharedFileStore) -> Result<Response<Body>, DavError> {
        if self.method.as_str() != "PROPFIND" {
            return Ok(not_allowed("Only PROPFIND is for the place where the homes are"));
        }
        let with_own = match self.strict_depth()? {
            Some(Depth::Zero) => false,
            Some(Depth::One) => true,
            None | Some(Depth::Infinity) => return Err(finite_depth()),
        };
        let root = self.xml().await?;
        let request = PropRequest::read_propfind(root.as_ref())?;
        let minimal = self.prefers("return=minimal");
        let plan = Plan::for_request(&request, minimal);
        let mut w = Writer::default();
        let scene = Scene { server: self.inner(), who: &self.who, is_owner: false, data: None };
        plan.write(&scene, &Resource::Branch, &Location::FileHomes.href(), &mut w);
        if let Some(home) = self.who.home().filter(|_| with_own) {
            let view = store.look(home, &[FilePath::default()]).await?;
            let scene = Scene { is_owner: true, ..scene };
            if let Some(node) = view.found.first().and_then(|found| found.node()) {
                let now = self.inner().env.now();
                let quota = self.inner().settings.files.quota_bytes;
                let root = FilePath::default();
                let locks = view.home.locks.iter().filter(|l| l.expires > now && l.covers(&root)).collect();
                let sight = FileSight { home, node, locks, used: view.home.used, quota };
                let href = Location::File { home, path: root }.href();
                plan.write(&scene, &Resource::File(&sight), &href, &mut w);
            }
        }
        chunked::multistatus(chunked::Written(w.take()), minimal).await
    }
}
