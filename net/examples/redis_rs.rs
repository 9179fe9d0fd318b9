//! redis-rs over TLS, against the servers of `scripts/clients`, which runs this.

use redis::{Client, ClientTlsConfig, Connection, ErrorKind, RedisResult, TlsCertificates};
use std::path::PathBuf;

/// How a client connects.
struct Way<'a> {
    port: &'a str,
    host: &'a str,
    authority: &'a str,
    certificate: Option<&'a str>,
    /// User and password, as in a URL.
    login: &'a str,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by scripts/clients"))
}

fn read(file: &str) -> Vec<u8> {
    let path = PathBuf::from(variable("CLIENT_DIR")).join(file);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Way<'_> {
    fn connect(&self) -> RedisResult<Connection> {
        let Way { port, host, authority, certificate, login } = self;
        let client_tls = certificate.map(|name| ClientTlsConfig {
            client_cert: read(&format!("{name}.crt")),
            client_key: read(&format!("{name}.key")),
        });
        let certificates = TlsCertificates { client_tls, root_cert: Some(read(&format!("{authority}.crt"))) };
        Client::build_with_tls(format!("rediss://{login}{host}:{port}"), certificates)?.get_connection()
    }

    /// Who the server says that the client is.
    fn user(&self) -> RedisResult<String> {
        redis::cmd("ACL").arg("WHOAMI").query(&mut self.connect()?)
    }
}

fn main() {
    let (port, demanding) = (variable("CLIENT_PORT"), variable("CLIENT_PORT_DEMANDING"));
    let way = || Way { port: &port, host: "localhost", authority: "ca", certificate: None, login: "anna:pw@" };
    let mut connection = way().connect().expect("anna may log in");
    let value = "x".repeat(100_000);
    let set = |connection: &mut Connection| redis::cmd("SET").arg("app:rs").arg(&value).exec(connection);
    set(&mut connection).expect("anna may write it");
    let got: String = redis::cmd("GET").arg("app:rs").query(&mut connection).expect("anna may read it");
    assert!(got == value, "the value comes back");
    let counted: Vec<i64> = redis::pipe()
        .atomic()
        .cmd("SET")
        .arg("app:rs2")
        .arg(1)
        .ignore()
        .cmd("INCR")
        .arg("app:rs2")
        .query(&mut connection)
        .expect("a transaction runs");
    assert_eq!(counted, [2]);
    let mut pipeline = redis::pipe();
    (0..1000).for_each(|_| _ = pipeline.cmd("INCR").arg("app:rs:n"));
    let numbers: Vec<i64> = pipeline.query(&mut connection).expect("a pipeline runs");
    assert_eq!(numbers.len(), 1000);
    let denied = redis::cmd("GET").arg("other").exec(&mut connection).expect_err("it is not anna's");
    assert_eq!(denied.code(), Some("NOPERM"));
    let wrong = Way { login: "anna:no@", ..way() }.user().expect_err("the password is wrong");
    assert_eq!(wrong.kind(), ErrorKind::AuthenticationFailed);
    let by_certificate = Way { certificate: Some("anna"), login: "", ..way() };
    assert_eq!(by_certificate.user().as_deref(), Ok("anna"));
    let of_nobody = Way { certificate: Some("nobody"), login: "", ..way() };
    assert_eq!(of_nobody.user().expect_err("nobody is no user").code(), Some("NOAUTH"));
    let login = ":secret@";
    assert_eq!(Way { port: &demanding, certificate: Some("anna"), login: "", ..way() }.user().as_deref(), Ok("anna"));
    assert!(Way { port: &demanding, login, ..way() }.user().is_err(), "a certificate is demanded");
    assert!(Way { authority: "other-ca", login, ..way() }.user().is_err(), "the authority is another one");
    assert!(Way { host: "127.0.0.1", login, ..way() }.user().is_err(), "the certificate is for another name");
    println!("redis-rs");
}
