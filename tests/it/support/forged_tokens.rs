//! Tokens that are forged from a valid one, by a table of what is changed.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// What a valid token is made from: the seed and id of its key, and its claims.
pub struct Forger {
    /// The seed of the private key.
    pub seed: [u8; 32],
    /// The id of the key.
    pub kid: String,
    /// The claims.
    pub claims: Value,
}

/// Returns base64url without padding.
pub fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Forger {
    fn key(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&self.seed).unwrap()
    }

    fn header(&self) -> Value {
        json!({"alg": "EdDSA", "kid": self.kid, "typ": "at+jwt"})
    }

    /// A token with this header and these claims, with a signature of the right key.
    fn signed(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encoded(header), encoded(claims));
        let signature = self.key().sign(signed.as_bytes());
        format!("{signed}.{}", encoded(signature))
    }

    /// A valid token.
    pub fn valid(&self) -> String {
        self.signed(&self.header().to_string(), &self.claims.to_string())
    }

    /// A token with another member of its header, or without it.
    fn with_header(&self, name: &str, value: Value) -> String {
        self.signed(&changed(self.header(), name, value), &self.claims.to_string())
    }

    /// A token with another claim, or without it.
    fn with_claim(&self, name: &str, value: Value) -> String {
        self.signed(&self.header().to_string(), &changed(self.claims.clone(), name, value))
    }

    /// Every forged token with its name.
    pub fn all(&self) -> Vec<(String, String)> {
        let mut tokens = Vec::new();
        self.add_algorithms(&mut tokens);
        self.add_headers(&mut tokens);
        self.add_claims(&mut tokens);
        self.add_parties(&mut tokens);
        self.add_encodings(&mut tokens);
        self.add_signatures(&mut tokens);
        tokens
    }

    fn add_algorithms(&self, tokens: &mut Vec<(String, String)>) {
        let public = self.key().public_key().as_ref().to_vec();
        for algorithm in [
            "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
            "PS256", "ES256", "ES384", "ES512", "ES256K", "eddsa", "EDDSA", "EdDSA ", "Ed448", "RSA1_5",
            "dir", "A256KW",
        ] {
            let header = changed(self.header(), "alg", json!(algorithm));
            let signed = format!("{}.{}", encoded(&header), encoded(self.claims.to_string()));
            tokens
                .push((format!("alg {algorithm:?}, signed"), self.signed(&header, &self.claims.to_string())));
            tokens.push((format!("alg {algorithm:?}, no signature"), format!("{signed}.")));
            if algorithm.starts_with("HS") {
                for secret in
                    [public.clone(), encoded(&public).into_bytes(), Vec::new(), self.kid.clone().into()]
                {
                    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
                    let mac = hmac::sign(&key, signed.as_bytes());
                    let name = format!("alg {algorithm}, secret of {} bytes", secret.len());
                    tokens.push((name, format!("{signed}.{}", encoded(mac))));
                }
            }
        }
        for value in [Value::Null, json!(1), json!(["EdDSA"]), json!({"alg": "EdDSA"}), json!(true)] {
            tokens.push((format!("alg {value}"), self.with_header("alg", value)));
        }
    }

    fn add_headers(&self, tokens: &mut Vec<(String, String)>) {
        for kid in [
            json!("../../../../dev/null"),
            json!("/dev/null"),
            json!("' OR '1'='1"),
            json!("x' UNION SELECT 'secret"),
            json!(""),
            json!("\u{0}"),
            json!(format!("{}\u{0}", self.kid)),
            json!(format!(" {}", self.kid)),
            json!(self.kid.to_uppercase() + "A"),
            json!("k".repeat(300)),
            json!("http://evil.example/jwks.json"),
            json!("00000000-0000-0000-0000-000000000000"),
            json!(0),
            json!([self.kid]),
            json!({"kid": self.kid}),
            Value::Null,
        ] {
            tokens.push((format!("kid {kid}"), self.with_header("kid", kid)));
        }
        let own = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(own.public_key()), "kid": self.kid});
        for (name, value) in [
            ("jwk", jwk),
            ("jku", json!("https://evil.example/jwks.json")),
            ("x5u", json!("https://evil.example/cert.pem")),
            ("x5c", json!(["MIIB"])),
            ("crit", json!(["exp"])),
            ("crit", json!(["b64"])),
            ("crit", json!([])),
            ("crit", json!("exp")),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
            ("enc", json!("A256GCM")),
            ("cty", json!("JWT")),
            ("cty", json!("jwt")),
        ] {
            let header = changed(self.header(), name, value.clone());
            tokens.push((format!("{name} {value}"), self.signed(&header, &self.claims.to_string())));
            let signed = format!("{}.{}", encoded(&header), encoded(self.claims.to_string()));
            let signature = encoded(own.sign(signed.as_bytes()));
            tokens.push((format!("{name} {value}, signed by its key"), format!("{signed}.{signature}")));
        }
        for kind in [
            json!("JWT"),
            json!("secevent+jwt"),
            json!("id+jwt"),
            json!(""),
            json!(1),
            Value::Null,
            json!(["at+jwt"]),
        ] {
            tokens.push((format!("typ {kind}"), self.with_header("typ", kind)));
        }
    }

    fn add_claims(&self, tokens: &mut Vec<(String, String)>) {
        let now = self.claims["iat"].as_i64().unwrap();
        let (issuer, audience) = (self.claims["iss"].clone(), self.claims["aud"].clone());
        let (issuer_text, audience_text) = (issuer.as_str().unwrap(), audience.as_str().unwrap());
        for (name, value) in [
            ("exp", json!(now - 3600)),
            ("exp", json!(now - 31)),
            ("exp", json!(0)),
            ("exp", json!(-1)),
            ("exp", json!((now + 3600).to_string())),
            ("exp", Value::Null),
            ("exp", json!([now + 3600])),
            ("exp", json!(true)),
            ("nbf", json!(now + 3600)),
            ("nbf", json!((now - 60).to_string())),
            ("nbf", json!([now])),
            ("iat", json!(now + 3600)),
            ("iat", json!(now.to_string())),
            ("iat", Value::Null),
            ("iss", json!("https://evil.example")),
            ("iss", json!(format!("{issuer_text}/"))),
            ("iss", json!(issuer_text.to_uppercase())),
            ("iss", json!(format!("{issuer_text}\u{0}"))),
            ("iss", json!([issuer_text])),
            ("iss", Value::Null),
            ("aud", json!("https://other.example")),
            ("aud", json!(["https://other.example"])),
            ("aud", json!([])),
            ("aud", json!(audience_text.to_uppercase())),
            ("aud", json!(format!("{audience_text}.evil.example"))),
            ("aud", json!([audience_text, 1])),
            ("aud", json!({"aud": audience_text})),
            ("aud", Value::Null),
            ("sub", json!("")),
            ("sub", json!(1)),
            ("sub", json!("\u{0}")),
            ("sub", json!("s".repeat(300))),
            ("sub", Value::Null),
            ("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}})),
            ("events", json!({})),
        ] {
            let shown = value.to_string();
            let name = format!("{name} {}", shown.get(..40).unwrap_or(&shown));
            tokens.push((name.clone(), self.with_claim(name.split(' ').next().unwrap(), value)));
        }
        let (header, claims) = (self.header().to_string(), self.claims.to_string());
        for member in ["sub", "exp", "iss", "aud"] {
            let other = format!("{},\"{member}\":{}}}", &claims[..claims.len() - 1], self.claims[member]);
            tokens.push((format!("{member} twice"), self.signed(&header, &other)));
        }
        for member in ["alg", "kid", "typ"] {
            let other = format!("{},\"{member}\":{}}}", &header[..header.len() - 1], self.header()[member]);
            tokens.push((format!("header {member} twice"), self.signed(&other, &claims)));
        }
        let twice = r#","other":{"a":1,"a":2}}"#;
        for (name, header, claims) in [
            ("claims", header.clone(), format!("{}{twice}", &claims[..claims.len() - 1])),
            ("header", format!("{}{twice}", &header[..header.len() - 1]), claims.clone()),
        ] {
            tokens.push((format!("a member in the {name} twice"), self.signed(&header, &claims)));
        }
        for (name, claims) in [
            ("claims are a list", "[]".to_owned()),
            ("claims are a text", "\"a\"".to_owned()),
            ("claims are null", "null".to_owned()),
            ("claims are empty", "{}".to_owned()),
            ("claims are no JSON", "{\"sub\":".to_owned()),
            ("claims with text after them", format!("{claims} x")),
            ("claims are nested deeply", format!("{{\"a\":{}", "[".repeat(1000))),
            ("claims are a token", self.valid()),
            ("claims are oversized", changed(self.claims.clone(), "pad", json!("x".repeat(9000)))),
        ] {
            tokens.push((name.to_owned(), self.signed(&header, &claims)));
        }
    }

    /// Tokens that were issued to another client than the valid one, if that names its client in `azp`.
    fn add_parties(&self, tokens: &mut Vec<(String, String)>) {
        let Some(party) = self.claims["azp"].as_str() else { return };
        for (name, value) in [
            ("azp", json!("other")),
            ("azp", json!("")),
            ("azp", json!(party.to_uppercase())),
            ("azp", json!(format!("{party} "))),
            ("azp", json!(format!("{party}\u{0}"))),
            ("azp", json!([party])),
            ("azp", json!({"azp": party})),
            ("azp", json!(1)),
            ("azp", Value::Null),
            ("client_id", json!("other")),
            ("client_id", json!([party])),
        ] {
            tokens.push((format!("{name} {value}"), self.with_claim(name, value)));
        }
        let (header, claims) = (self.header().to_string(), self.claims.to_string());
        let twice = format!("{},\"azp\":\"other\"}}", &claims[..claims.len() - 1]);
        tokens.push(("azp twice".to_owned(), self.signed(&header, &twice)));
    }

    fn add_encodings(&self, tokens: &mut Vec<(String, String)>) {
        let token = self.valid();
        let parts: Vec<&str> = token.split('.').collect();
        let join = |parts: &[&str]| parts.join(".");
        for (index, name) in ["header", "claims", "signature"].into_iter().enumerate() {
            let part = parts[index];
            let with = |part: &str| {
                let mut changed = parts.clone();
                changed[index] = part;
                join(&changed)
            };
            let standard = format!("{}+/", &part[..part.len() - 2]);
            for (what, part) in [
                ("is empty", String::new()),
                ("is padded", format!("{part}=")),
                ("is padded twice", format!("{part}==")),
                ("has a space", format!("{part} ")),
                ("has a tab", format!("{}\t{}", &part[..4], &part[4..])),
                ("has an escaped byte", format!("{part}%00")),
                ("is truncated", part[..part.len() - 1].to_owned()),
                ("is truncated by two", part[..part.len() - 2].to_owned()),
                ("is longer", format!("{part}AAAA")),
                ("has the other alphabet", standard),
                ("is twice", format!("{part}{part}")),
            ] {
                tokens.push((format!("{name} {what}"), with(&part)));
            }
            let bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
            for at in [0, bytes.len() / 2, bytes.len() - 1] {
                for bit in [0, 7] {
                    let mut flipped = bytes.clone();
                    flipped[at] ^= 1 << bit;
                    tokens.push((format!("{name} bit {bit} of byte {at}"), with(&encoded(flipped))));
                }
            }
        }
        // the 64 bytes of a signature leave four bits, which must be zero
        let last = parts[2].chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
        let trailing = format!("{}{next}", &token[..token.len() - 1]);
        tokens.push(("bits after the signature".into(), trailing));
        for (name, token) in [
            ("one part", parts[0].to_owned()),
            ("two parts", join(&parts[..2])),
            ("four parts", format!("{token}.{}", parts[2])),
            ("five parts", format!("{token}.{}.{}", parts[1], parts[2])),
            ("parts in another order", join(&[parts[1], parts[0], parts[2]])),
            ("dots alone", "..".to_owned()),
            ("a dot before", format!(".{token}")),
            ("a dot after", format!("{token}.")),
            ("JSON serialization", json!({"payload": parts[1], "protected": parts[0]}).to_string()),
            ("very long", format!("{}.{}.{}", parts[0], "A".repeat(100_000), parts[2])),
        ] {
            tokens.push((name.to_owned(), token));
        }
    }

    fn add_signatures(&self, tokens: &mut Vec<(String, String)>) {
        let token = self.valid();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let other = self.with_claim("jti", json!("another"));
        let swapped = other.rsplit_once('.').unwrap().1;
        tokens.push(("signature of another token".into(), format!("{signed}.{swapped}")));
        let claims = self.with_claim("roles", json!(["admin"]));
        tokens.push((
            "claims of another token".into(),
            format!("{}.{signature}", claims.rsplit_once('.').unwrap().0),
        ));
        for length in [0, 1, 32, 63, 64, 65, 128] {
            tokens.push((format!("{length} zero bytes"), format!("{signed}.{}", encoded(vec![0; length]))));
            tokens.push((format!("{length} bytes 255"), format!("{signed}.{}", encoded(vec![255; length]))));
        }
        let stranger = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
        let forged = encoded(stranger.sign(signed.as_bytes()));
        tokens.push(("another key with the same id".into(), format!("{signed}.{forged}")));
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
        let forged = encoded(pair.sign(&random, signed.as_bytes()).unwrap());
        tokens.push(("a signature of ES256".into(), format!("{signed}.{forged}")));
    }
}

/// Returns an object with another member, or without it if the value is null.
fn changed(mut object: Value, name: &str, value: Value) -> String {
    match value {
        Value::Null => object.as_object_mut().unwrap().remove(name),
        value => object.as_object_mut().unwrap().insert(name.to_owned(), value),
    };
    object.to_string()
}
