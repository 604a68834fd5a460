//! Where a PulseAudio-compatible server may be found. Pure: the environment is handed in.
//!
//! Follows libpulse, which the client crate's own search does not: lists, bare paths and TCP in
//! `PULSE_SERVER` are understood, and `PULSE_SERVER` excludes everything else.
//! Spec: pulse-client.conf(5) and "Server Strings" of the PulseAudio documentation, 2026-11.

use std::path::{Path, PathBuf};

const TCP_PORT: u16 = 4713;

/// The variables the search reads. Empty ones count as unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudioEnv {
    pub pulse_server: Option<String>,
    pub pulse_runtime_path: Option<PathBuf>,
    pub xdg_runtime_dir: Option<PathBuf>,
    pub pulse_cookie: Option<PathBuf>,
    pub home: Option<PathBuf>,
}

/// One place to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PulseAddress {
    Unix(PathBuf),
    Tcp { host: String, port: u16 },
}

impl AudioEnv {
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let path = |name: &str| text(name).map(PathBuf::from);
        Self {
            pulse_server: text("PULSE_SERVER"),
            pulse_runtime_path: path("PULSE_RUNTIME_PATH"),
            xdg_runtime_dir: path("XDG_RUNTIME_DIR"),
            pulse_cookie: path("PULSE_COOKIE"),
            home: path("HOME"),
        }
    }

    /// Cookie files in the order they are tried.
    pub fn cookie_paths(&self) -> Vec<PathBuf> {
        let home = |tail: &str| self.home.as_ref().map(|home| home.join(tail));
        [
            self.pulse_cookie.clone(),
            home(".config/pulse/cookie"),
            home(".pulse-cookie"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl std::fmt::Display for PulseAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// The places to try, in order. `uid` is ours, `machine_id` the content of `/etc/machine-id`.
pub fn pulse_addresses(
    env: &AudioEnv,
    uid: Option<u32>,
    machine_id: Option<&str>,
) -> Vec<PulseAddress> {
    if let Some(list) = &env.pulse_server {
        return list
            .split_ascii_whitespace()
            .filter_map(|w| parse(w, machine_id))
            .collect();
    }
    let under = |dir: &Option<PathBuf>, tail: &str| dir.as_ref().map(|dir| dir.join(tail));
    let mut paths: Vec<PathBuf> = [
        under(&env.pulse_runtime_path, "native"),
        under(&env.xdg_runtime_dir, "pulse/native"),
        uid.map(|uid| {
            Path::new("/run/user")
                .join(uid.to_string())
                .join("pulse/native")
        }),
        Some(PathBuf::from("/run/pulse/native")),
    ]
    .into_iter()
    .flatten()
    .collect();
    paths.dedup();
    paths.into_iter().map(PulseAddress::Unix).collect()
}

fn parse(word: &str, machine_id: Option<&str>) -> Option<PulseAddress> {
    // `{id}address` is meant for the machine with that id only.
    let word = match word.strip_prefix('{').and_then(|w| w.split_once('}')) {
        Some((id, rest)) if Some(id) == machine_id.map(str::trim) => rest,
        Some(_) => return None,
        None => word,
    };
    if let Some(path) = word.strip_prefix("unix:") {
        return Some(PulseAddress::Unix(path.into()));
    }
    if word.starts_with('/') {
        return Some(PulseAddress::Unix(word.into()));
    }
    let host = ["tcp4:", "tcp6:", "tcp:"]
        .iter()
        .find_map(|prefix| word.strip_prefix(prefix))
        .unwrap_or(word);
    let (host, port) = match host.strip_prefix('[').and_then(|h| h.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match host.split_once(':') {
            // More than one colon without brackets is an IPv6 address without a port.
            Some((name, port)) if !port.contains(':') => (name, Some(port)),
            _ => (host, None),
        },
    };
    let port = port.map_or(Some(TCP_PORT), |p| p.parse().ok())?;
    (!host.is_empty()).then(|| PulseAddress::Tcp {
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> AudioEnv {
        let find = |name: &str| pairs.iter().find(|(n, _)| *n == name);
        AudioEnv::from_lookup(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    fn shown(env: &AudioEnv) -> Vec<String> {
        let addresses = pulse_addresses(env, Some(1000), Some("m1\n"));
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn server_variable_is_read_as_libpulse_does() {
        let rows: [(&str, &[&str]); 11] = [
            ("unix:/tmp/a", &["/tmp/a"]),
            ("/tmp/a", &["/tmp/a"]),
            ("/tmp/a tcp:box", &["/tmp/a", "box:4713"]),
            ("tcp:box:99", &["box:99"]),
            ("tcp4:10.0.0.1", &["10.0.0.1:4713"]),
            ("tcp6:[::1]:99", &["::1:99"]),
            ("tcp6:::1", &["::1:4713"]),
            ("box", &["box:4713"]),
            ("{m1}unix:/tmp/a {m2}unix:/tmp/b", &["/tmp/a"]),
            ("tcp:box:port", &[]),
            ("tcp:", &[]),
        ];
        for (value, expected) in rows {
            assert_eq!(shown(&env(&[("PULSE_SERVER", value)])), expected, "{value}");
        }
    }

    #[test]
    fn without_it_the_usual_sockets_are_tried_in_order() {
        let all = env(&[
            ("PULSE_RUNTIME_PATH", "/p"),
            ("XDG_RUNTIME_DIR", "/x"),
            ("PULSE_SERVER", " "),
        ]);
        let expected = [
            "/p/native",
            "/x/pulse/native",
            "/run/user/1000/pulse/native",
            "/run/pulse/native",
        ];
        assert_eq!(shown(&all), expected);
        let same = env(&[("XDG_RUNTIME_DIR", "/run/user/1000")]);
        assert_eq!(
            shown(&same),
            ["/run/user/1000/pulse/native", "/run/pulse/native"]
        );
    }

    #[test]
    fn server_variable_excludes_everything_else() {
        let both = env(&[("PULSE_SERVER", "tcp:box"), ("XDG_RUNTIME_DIR", "/x")]);
        assert_eq!(shown(&both), ["box:4713"]);
    }

    #[test]
    fn cookies_are_looked_for_in_order() {
        let env = env(&[("PULSE_COOKIE", "/c"), ("HOME", "/h")]);
        let paths: Vec<_> = env
            .cookie_paths()
            .iter()
            .map(|p| p.display().to_string())
            .collect();
        assert_eq!(paths, ["/c", "/h/.config/pulse/cookie", "/h/.pulse-cookie"]);
    }
}
