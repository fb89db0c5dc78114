//! Mail servers, by SMTP ([RFC 5321](https://www.rfc-editor.org/rfc/rfc5321)).
//!
//! `smtps://` begins with TLS (port 465). `smtp://` requires STARTTLS (port 587) unless the host is this machine (port
//! 25), because credentials and addresses would be readable otherwise. The status codes are those of RFC 5321, section
//! 4.2.3.
//!
//! A server that accepts no e-mail is logged once, whatever the number of e-mails, and once when it accepts one again.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::response::Response;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;
use url::Url;

use super::InvalidMail;
use crate::domain::email::{Email, ascii_email};
use crate::domain::host::is_this_machine;
use crate::domain::ports::{MailError, Mailer, PortFuture};
use crate::infrastructure::exceptions::{Outage, with_causes};

/// The status codes by which a server refuses an e-mail for its recipient, size or content. Others, such as 535 for
/// credentials, are faults of the configuration: the e-mail is sent when they are mended.
const REFUSALS: [u16; 5] = [550, 551, 552, 553, 556];
/// The enhanced status codes ([RFC 3463](https://www.rfc-editor.org/rfc/rfc3463)) by which a server refuses the sender
/// with one of [`REFUSALS`]. Those of its policy, which begin with `5.7.`, may be about it, too.
const SENDER_REFUSALS: [&str; 2] = ["5.1.7", "5.1.8"];
/// The status codes by which a server does not accept one e-mail for now, such as the first of an unknown sender. It
/// may accept others.
const DEFERRALS: [u16; 3] = [450, 451, 452];
/// What the log says when a server accepts no e-mails, and when it does again.
const OUTAGE: [&str; 2] = ["the mail server accepts no e-mails", "the mail server accepts e-mails again"];
/// The only caller of a server.
const CALLER: &str = "mail";
/// The longest wait for a connection to one address of the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest time to send an e-mail, with the connection and its end. The library has no time-out for the responses
/// of a server.
const SEND_TIMEOUT: Duration = Duration::from_mins(1);
/// The error of a response that is none of SMTP.
const MALFORMED: &str = "the server sent a malformed response";
/// The error after that time.
const LATE: &str = "the server did not respond in time";

pub(super) struct SmtpAdapter {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sender: Mailbox,
    /// The host and the port.
    server: String,
    outage: Outage,
    timeout: Duration,
}

impl SmtpAdapter {
    /// Returns whether a URL names a mail server.
    pub(super) fn accepts(url: &str) -> bool {
        Server::parse(url).is_some()
    }

    pub(super) fn new(url: &SecretString, sender: Mailbox) -> Result<Self, InvalidMail> {
        let server = Server::parse(url.expose_secret()).ok_or(InvalidMail::Url)?;
        let parameters = || TlsParameters::new(server.host.clone()).map_err(|_| InvalidMail::Url);
        let tls = match server.security {
            Security::Tls => Tls::Wrapper(parameters()?),
            Security::StartTls => Tls::Required(parameters()?),
            Security::None => Tls::None,
        };
        let shown = server.shown();
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)
            .port(server.port)
            .tls(tls)
            .timeout(Some(CONNECT_TIMEOUT));
        if let Some(credentials) = server.credentials {
            transport = transport.credentials(credentials);
        }
        let outage = Outage::new(shown.as_str(), "mail.url", OUTAGE);
        Ok(Self { transport: transport.build(), sender, server: shown, outage, timeout: SEND_TIMEOUT })
    }

    /// Returns the host and the port of the server.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    async fn within_time<T>(&self, response: impl Future<Output = T>) -> Result<T, MailError> {
        let late = |_| MailError::Unavailable(LATE.to_owned());
        timeout(self.timeout, response).await.map_err(late)
    }

    /// Notes for the log whether the server accepted an e-mail, or accepts none.
    fn note(&self, sent: &Result<Result<Response, Error>, MailError>) {
        match sent {
            Ok(Ok(_)) => self.outage.end(CALLER),
            Ok(Err(error)) => {
                if let Some(reason) = outage(error) {
                    self.outage.begin(CALLER, reason);
                }
            }
            Err(_) => self.outage.begin(CALLER, LATE),
        }
    }

    fn message(&self, email: &Email) -> Result<Message, MailError> {
        let refused = |error: String| MailError::Refused(error);
        let recipient = ascii_email(&email.recipient).parse::<Mailbox>();
        let recipient = recipient.map_err(|_| refused("no e-mail address".into()))?;
        let domain = self.sender.email.domain();
        Message::builder()
            .from(self.sender.clone())
            .to(recipient)
            .subject(&email.subject)
            .message_id(Some(format!("<{}@{domain}>", email.id)))
            .header(ContentType::TEXT_PLAIN)
            .body(email.body.clone())
            .map_err(|error| refused(error.to_string()))
    }
}

impl Mailer for SmtpAdapter {
    fn send<'a>(&'a self, email: &'a Email) -> PortFuture<'a, (), MailError> {
        Box::pin(async move {
            let message = self.message(email)?;
            let sent = self.within_time(self.transport.send(message)).await;
            // the server does not take such an address (RFC 6531)
            if let Ok(Err(error)) = &sent
                && error.is_client()
                && !ascii_email(&email.recipient).is_ascii()
            {
                return Err(MailError::Refused(with_causes(error).to_string()));
            }
            self.note(&sent);
            sent?.map(drop).map_err(|error| mail_error(&error))
        })
    }

    fn check(&self) -> PortFuture<'_, (), MailError> {
        Box::pin(async {
            match self.within_time(self.transport.test_connection()).await? {
                Ok(true) => Ok(()),
                Ok(false) => Err(MailError::Unavailable("the server closed the connection".to_owned())),
                Err(error) => Err(mail_error(&error)),
            }
        })
    }
}

fn mail_error(error: &Error) -> MailError {
    let text = with_causes(error).to_string();
    let is_refused = error.status().is_some_and(|code| is_refusal(code.into(), &text));
    if is_refused { MailError::Refused(text) } else { MailError::Unavailable(text) }
}

/// Returns whether a response with this status and text refuses one e-mail for good.
fn is_refusal(code: u16, text: &str) -> bool {
    REFUSALS.contains(&code) && !is_about_sender(text)
}

/// Returns why the server accepts no e-mail, without the text of its response, which may have an address; `None` if
/// the error may be about one e-mail.
fn outage(error: &Error) -> Option<String> {
    let text = with_causes(error).to_string();
    let Some(code) = error.status().map(u16::from) else {
        return Some(if error.is_response() { MALFORMED.to_owned() } else { text });
    };
    let is_about_one = is_refusal(code, &text) || DEFERRALS.contains(&code);
    (!is_about_one).then(|| format!("the server responds with the status {code}"))
}

/// Returns whether the text of a refusal has an enhanced status code that is about the sender or a policy.
fn is_about_sender(text: &str) -> bool {
    text.split_whitespace().any(|word| word.starts_with("5.7.") || SENDER_REFUSALS.contains(&word))
}

/// What a URL says about a server.
struct Server {
    security: Security,
    host: String,
    port: u16,
    credentials: Option<Credentials>,
}

enum Security {
    Tls,
    StartTls,
    None,
}

impl Server {
    fn parse(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        let (security, port) = match url.scheme() {
            "smtps" => (Security::Tls, 465),
            "smtp" if is_this_machine(&host) => (Security::None, 25),
            "smtp" => (Security::StartTls, 587),
            _ => return None,
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return None;
        }
        let decoded =
            |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().ok().map(String::from);
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) => Some(Credentials::new(decoded(user)?, decoded(password)?)),
            _ => return None,
        };
        Some(Self { security, host, port: url.port().unwrap_or(port), credentials })
    }

    /// Returns the host and the port, for operators.
    fn shown(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_sender_is_none_of_the_recipient() {
        for text in [
            "permanent error (553): 5.7.1 Sender address rejected",
            "permanent error (550): 5.1.8 Bad domain",
        ] {
            assert!(is_about_sender(text), "{text}");
        }
        for text in
            ["permanent error (550): 5.1.1 User unknown", "permanent error (552): 5.2.2 Over quota 5.7"]
        {
            assert!(!is_about_sender(text), "{text}");
        }
    }

    #[tokio::test]
    async fn a_server_that_accepts_the_connection_and_is_silent_is_not_waited_for() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", server.local_addr().unwrap()).into();
        let adapter = SmtpAdapter::new(&url, "Shop <shop@example.org>".parse().unwrap()).unwrap();
        let adapter = SmtpAdapter { timeout: Duration::from_millis(50), ..adapter };
        let late = MailError::Unavailable(LATE.to_owned());
        assert_eq!(adapter.check().await, Err(late));
    }

    #[test]
    fn urls_of_mail_servers_are_parsed() {
        for url in ["smtp://localhost", "smtps://u%40x:p%2F@mail.example.com:2465", "smtp://127.0.0.1:2525/"]
        {
            assert!(SmtpAdapter::accepts(url), "{url}");
        }
        for url in
            ["smtp://", "http://a", "smtp://user@host", "smtp://host/path", "smtp://host?tls=no", "local:x"]
        {
            assert!(!SmtpAdapter::accepts(url), "{url}");
        }
        let server = Server::parse("smtp://user:a%20b@mail.example.com").unwrap();
        assert!(matches!(server.security, Security::StartTls), "credentials are never sent in the clear");
        for local in ["smtp://127.0.0.1", "smtp://[::1]:2525", "smtp://localhost", "smtp://LOCALHOST"] {
            assert!(matches!(Server::parse(local).unwrap().security, Security::None), "{local}");
        }
    }

    #[test]
    fn a_server_is_shown_with_its_port_and_without_credentials() {
        for (url, shown) in [
            ("smtp://ann:hush@mail.example.com", "mail.example.com:587"),
            ("smtps://ann:hush@mail.example.com", "mail.example.com:465"),
            ("smtp://localhost:2525", "localhost:2525"),
            ("smtp://[::1]", "[::1]:25"),
        ] {
            assert_eq!(Server::parse(url).unwrap().shown(), shown, "{url}");
        }
    }
}
