//! Where a call's documents come from: the voice URL, its fallback, actions and redirects.

use url::Url;

use super::call::Run;
use super::state::Source;
use super::twiml::{self, Verb};
use crate::simulator::line::Method;

impl Run {
    /// A document's verbs; on failure the fallback's; else the carrier's error code.
    pub(super) async fn fetch(
        &mut self,
        source: Source,
        extra: &[(String, String)],
    ) -> Result<Vec<Verb>, u32> {
        let (url, method) = match source {
            Source::Inline(text) => return twiml::parse(None, &text).map_err(|e| e.code),
            Source::Url { url, method } => (url, method),
        };
        let code = match self.ask(&url, method, extra).await {
            Ok(verbs) => return Ok(verbs),
            Err(code) => code,
        };
        let Some((fallback, method)) = self.wishes.fallback.clone().filter(|(f, _)| *f != url)
        else {
            return Err(code);
        };
        self.entry.error(code);
        let why = [
            ("ErrorCode".to_owned(), code.to_string()),
            ("ErrorUrl".to_owned(), url),
        ];
        self.ask(&fallback, method, &why).await
    }

    pub(super) async fn ask(
        &mut self,
        url: &str,
        method: Method,
        extra: &[(String, String)],
    ) -> Result<Vec<Verb>, u32> {
        let mut form = self.shared.base_form(&self.entry, self.entry.status());
        form.extend_from_slice(extra);
        let answer = self
            .shared
            .poster
            .fetch(url, method, &form)
            .await
            .map_err(|error| {
                tracing::debug!(%error, "simulated carrier: no document");
                11_200_u32
            })?;
        twiml::parse(Some(&answer.content_type), &answer.body).map_err(|error| {
            tracing::debug!(%error, "simulated carrier: document refused");
            error.code
        })
    }

    /// Resolves a relative URL against the document's.
    pub(super) fn absolute(&self, url: &str) -> String {
        match &self.wishes.document {
            Some(Source::Url { url: base, .. }) => Url::parse(base)
                .and_then(|base| base.join(url))
                .map_or_else(|_| url.to_owned(), |url| url.to_string()),
            _ => url.to_owned(),
        }
    }
}
