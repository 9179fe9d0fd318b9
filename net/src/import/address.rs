//! Where a server is and who asks there, of a URL: `redis://[user[:password]@]host[:port][/database]`, `rediss://` over TLS.

use std::fmt;
use std::path::Path;

/// The port of a URL without one.
const PORT: u16 = 6379;

/// A server and the user there. As a text it has neither user nor password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// The name or address of the machine, an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether it is reached over TLS.
    pub is_tls: bool,
    /// The user; `None` for the default one.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The database.
    pub db: Option<u64>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Address {
    /// The address of a URL; `None` if the text is none. Errors do not show the URL, which may have a password.
    pub fn parse(text: &str) -> Option<Result<Address, String>> {
        let (scheme, rest) = text.split_once("://")?;
        Some(match scheme {
            "redis" => Address::of_rest(rest, false),
            "rediss" => Address::of_rest(rest, true),
            other => Err(format!("URLs begin with redis:// or rediss://, not with {other}://")),
        })
    }

    fn of_rest(rest: &str, is_tls: bool) -> Result<Address, String> {
        // A password may have a slash, a host has no @.
        let (who, place) = match rest.rsplit_once('@') {
            Some((who, place)) => (Some(who), place),
            None => (None, rest),
        };
        let (user, password) = match who.map(|who| who.split_once(':').unwrap_or((who, ""))) {
            Some((user, password)) => (decoded(user)?, decoded(password)?),
            None => (None, None),
        };
        let (place, db) = match place.split_once('/') {
            Some((place, "")) => (place, None),
            Some((place, db)) => {
                (place, Some(db.parse().map_err(|_| "the path of a URL is the number of a database".to_owned())?))
            }
            None => (place, None),
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(place) => {
                let (host, port) = place.split_once(']').ok_or("an IPv6 address ends with ]")?;
                (host, port.strip_prefix(':'))
            }
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let port =
            port.map_or(Ok(PORT), |port| port.parse().map_err(|_| "the port of a URL is a number".to_owned()))?;
        if host.is_empty() {
            return Err("a URL names a host".to_owned());
        }
        Ok(Address { host: host.to_owned(), port, is_tls, user, password, db })
    }

    /// Takes the password of a file, or else of a variable of the environment, or else leaves that of the URL.
    pub fn take_password(&mut self, file: Option<&Path>, variable: &str) -> Result<(), String> {
        if self.password.is_some() {
            // Lists of processes have the command line.
            eprintln!("keytide: others on this machine see the password of a URL; a file or {variable} hides it");
        }
        let given = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
                Some(text.lines().next().unwrap_or_default().to_owned())
            }
            None => std::env::var(variable).ok(),
        };
        self.password = given.filter(|password| !password.is_empty()).or(self.password.take());
        Ok(())
    }
}

/// A part of a URL, in which `%` and two digits stand for a byte; `None` if it is empty.
fn decoded(text: &str) -> Result<Option<String>, String> {
    let wrong = || "% in a URL comes before two hexadecimal digits".to_owned();
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    let text = String::from_utf8(bytes).map_err(|_| "user and password of a URL are UTF-8".to_owned())?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_user_password_host_port_and_database() {
        for (url, shown, is_tls, user, password, db) in [
            ("redis://there", "there:6379", false, None, None, None),
            ("redis://there:7/", "there:7", false, None, None, None),
            ("rediss://[::1]:7/3", "[::1]:7", true, None, None, Some(3)),
            ("redis://:p%40s@h", "h:6379", false, None, Some("p@s"), None),
            ("redis://anna:a/b:c@h:1/2", "h:1", false, Some("anna"), Some("a/b:c"), Some(2)),
            ("redis://anna@h", "h:6379", false, Some("anna"), None, None),
        ] {
            let address = Address::parse(url).expect("a URL").expect("a right one");
            assert_eq!((address.to_string().as_str(), address.is_tls, address.db), (shown, is_tls, db));
            assert_eq!((address.user.as_deref(), address.password.as_deref()), (user, password));
        }
        assert!(Address::parse("dump.rdb").is_none());
        for url in
            ["redis://", "redis://h:x", "redis://h/x", "redis://[::1", "redis://%4@h", "http://h", "redis://%é@h"]
        {
            assert!(matches!(Address::parse(url), Some(Err(_))), "{url}");
        }
    }
}
