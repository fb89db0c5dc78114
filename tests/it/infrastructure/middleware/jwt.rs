//! Signed tokens: the vectors of OpenID Connect, and forged ones.

mod issuer_keys;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use jiff::Timestamp;
use serde_json::{Value, json};
use undercroft::infrastructure::middleware::jwt::{
    Algorithm, Expected, InvalidToken, KeySet, TokenSigner, verify,
};

use crate::support::forged_tokens::{Forger, encoded};

const NOW: i64 = 1_700_000_000;

fn expected(types: Vec<Option<&'static str>>, algorithms: Vec<Algorithm>) -> Expected {
    Expected {
        issuer: "https://shop.example".into(),
        audience: "https://shop.example".into(),
        parties: Vec::new(),
        types,
        algorithms,
    }
}

fn claims() -> Value {
    json!({"iss": "https://shop.example", "aud": "https://shop.example", "sub": "ann", "iat": NOW, "exp": NOW + 600,
           "jti": "1", "roles": ["customer"]})
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn no_forged_token_is_valid() {
    let mut claims = claims();
    claims["azp"] = json!("web");
    let forger = Forger { seed: [7; 32], kid: "k1".into(), claims };
    let keys =
        [("k1", 7), ("k2", 8)].map(|(kid, seed)| TokenSigner::new(kid.into(), &[seed; 32]).unwrap().jwk());
    let keys = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    let expected = expected(vec![Some("at+jwt")], vec![Algorithm::EdDsa]);
    let expected = Expected { parties: vec!["web".into()], ..expected };
    assert_eq!(verify(&forger.valid(), &keys, &expected, at(NOW)).unwrap().subject(), "ann");

    let forged = forger.all();
    assert!(forged.len() >= 200, "{} forged tokens", forged.len());
    let accepted: Vec<_> =
        forged.iter().filter(|(_, token)| verify(token, &keys, &expected, at(NOW)).is_ok()).collect();
    assert_eq!(accepted, [] as [&(String, String); 0], "of {}", forged.len());
}

#[test]
fn a_token_of_another_client_is_refused_if_the_clients_are_named() {
    let signer = TokenSigner::new("k1".into(), &[7; 32]).unwrap();
    let check = |parties: &[&str], stated: &Value| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(stated.as_object().unwrap().clone());
        let token = signer.sign("at+jwt", &claims).unwrap();
        let parties = parties.iter().map(|&party| party.to_owned()).collect();
        let expected = Expected { parties, ..expected(vec![Some("at+jwt")], vec![Algorithm::EdDsa]) };
        verify(&token, &signer.key_set(), &expected, at(NOW)).map(drop)
    };
    for stated in [
        json!({"azp": "web"}),
        json!({"client_id": "app"}),
        json!({"azp": "web", "client_id": "app"}),
        json!({"azp": "web", "client_id": "web"}),
    ] {
        assert_eq!(check(&["web", "app"], &stated), Ok(()), "{stated}");
    }
    for stated in [
        json!({}),
        json!({"azp": "other"}),
        json!({"azp": "WEB"}),
        json!({"azp": ["web"]}),
        json!({"azp": null, "client_id": "web"}),
        json!({"client_id": "other"}),
        json!({"azp": "web", "client_id": "other"}),
        json!({"azp": "other", "client_id": "web"}),
    ] {
        assert_eq!(check(&["web", "app"], &stated), Err(InvalidToken::Party), "{stated}");
        assert_eq!(check(&[], &stated), Ok(()), "{stated}");
    }
}

#[test]
fn a_token_is_valid_between_its_times_and_a_few_seconds_around_them() {
    let forger = Forger { seed: [7; 32], kid: "k1".into(), claims: claims() };
    let keys = TokenSigner::new("k1".into(), &[7; 32]).unwrap().key_set();
    let expected = expected(vec![Some("at+jwt")], vec![Algorithm::EdDsa]);
    let verified = |second| verify(&forger.valid(), &keys, &expected, at(second)).map(drop);
    for second in [NOW - 30, NOW, NOW + 629] {
        assert_eq!(verified(second), Ok(()), "{second}");
    }
    for second in [NOW - 31, NOW + 630] {
        assert_eq!(verified(second), Err(InvalidToken::Time), "{second}");
    }
}

#[test]
fn an_algorithm_is_allowed_by_the_service_and_by_the_type_of_the_key() {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = (encoded(&point[1..33]), encoded(&point[33..]));
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "e1", "x": x, "y": y});
    let keys = |changes: Value| {
        let mut jwk = jwk.clone();
        jwk.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap()
    };
    let signed = format!("{}.{}", encoded(r#"{"alg":"ES256","kid":"e1"}"#), encoded(claims().to_string()));
    let token = format!("{signed}.{}", encoded(pair.sign(&random, signed.as_bytes()).unwrap()));
    let all = vec![Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa];
    let check = |token: &str, keys: &KeySet, algorithms: &[Algorithm]| {
        verify(token, keys, &expected(vec![None], algorithms.to_vec()), at(NOW)).map(drop)
    };
    assert_eq!(check(&token, &keys(json!({})), &all), Ok(()));
    assert_eq!(
        check(&token, &keys(json!({"use": "sig", "alg": "ES256", "key_ops": ["verify"]})), &all),
        Ok(())
    );
    assert_eq!(check(&token, &keys(json!({})), &[Algorithm::Rs256]), Err(InvalidToken::Algorithm));
    for other in [
        json!({"use": "enc"}),
        json!({"key_ops": ["sign"]}),
        json!({"kty": "oct", "k": "AAAA"}),
        json!({"crv": "P-384"}),
        json!({"alg": "ES512"}),
        json!({"x": y.clone()}),
        json!({"y": ""}),
        json!({"kid": "e2"}),
    ] {
        assert_eq!(check(&token, &keys(other.clone()), &all), Err(InvalidToken::UnknownKey), "{other}");
    }
    // the signature of CVE-2022-21449 and others of 64 bytes, as DER, and malleated
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&order[2 * at..2 * at + 2], 16).unwrap()).collect();
    let zero = vec![0; 32];
    for forged in [
        [zero.clone(), zero.clone()].concat(),
        [order.clone(), order.clone()].concat(),
        [zero.clone(), order.clone()].concat(),
        [order, zero].concat(),
        vec![0x30, 6, 2, 1, 0, 2, 1, 0],
        vec![1; 64],
    ] {
        let token = format!("{signed}.{}", encoded(forged));
        assert_eq!(check(&token, &keys(json!({})), &all), Err(InvalidToken::Signature), "{token}");
    }
}

#[test]
fn a_key_set_has_public_keys_for_signatures_only() {
    assert!(KeySet::parse(b"[]").is_err() && KeySet::parse(b"{}").is_err() && KeySet::parse(b"").is_err());
    let many = json!({"keys": vec![json!({}); 101]}).to_string();
    assert!(KeySet::parse(many.as_bytes()).is_err());
    for odd in [r#"{"keys":[null,1,"a",{},{"kty":"RSA","kid":"r","n":"AQAB","e":"AQAB"}]}"#, r#"{"keys":[]}"#]
    {
        assert!(KeySet::parse(odd.as_bytes()).is_ok(), "{odd}");
    }

    let forger = Forger { seed: [7; 32], kid: "k1".into(), claims: claims() };
    let expected = expected(vec![Some("at+jwt")], vec![Algorithm::EdDsa]);
    let right = TokenSigner::new("k1".into(), &[7; 32]).unwrap().jwk();
    let of_other = TokenSigner::new("k1".into(), &[8; 32]).unwrap().jwk();
    let verified = |keys: Value| {
        let keys = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        verify(&forger.valid(), &keys, &expected, at(NOW)).map(|claims| claims.subject().to_owned())
    };
    let with = |changes: &[(&str, Value)]| {
        let mut key = right.clone();
        for (name, value) in changes {
            key[*name] = value.clone();
        }
        key
    };
    assert_eq!(verified(json!([right])), Ok("ann".into()));
    assert_eq!(verified(json!([null, {"kty": "RSA", "kid": "k1"}, right])), Ok("ann".into()));
    assert_eq!(verified(json!([right, of_other])), Ok("ann".into()), "the first of an id is used");
    assert_eq!(verified(json!([of_other, right])), Err(InvalidToken::Signature));
    for left_out in [
        with(&[("use", json!("enc"))]),
        with(&[("key_ops", json!(["sign"]))]),
        with(&[("kid", Value::Null)]),
        with(&[("kid", json!("k2"))]),
        with(&[("kty", json!("oct")), ("k", json!("AAAA"))]),
        with(&[("crv", json!("Ed448"))]),
        with(&[("alg", json!("HS256"))]),
        with(&[("x", json!("AAAA"))]),
    ] {
        assert_eq!(verified(json!([left_out])), Err(InvalidToken::UnknownKey), "{left_out}");
    }
    assert_eq!(verified(json!([with(&[("alg", json!("RS256"))])])), Err(InvalidToken::Algorithm));
}

/// What an OpenID Connect client checks of an ID token beside what every token needs (Core, section 3.1.3.7).
fn is_id_token_for(claims: &undercroft::infrastructure::middleware::jwt::Claims, vectors: &Value) -> bool {
    let has_one_audience = claims.get("aud").and_then(Value::as_array).is_none_or(|all| all.len() == 1);
    let party = claims.text("azp");
    claims.text("nonce") == vectors["nonce"].as_str()
        && (has_one_audience || party.is_some())
        && party.is_none_or(|party| party == vectors["client_id"])
}

#[test]
fn the_vectors_of_openid_connect_are_accepted_and_refused() {
    let vectors: Value = serde_json::from_str(include_str!("../../../fixtures/oidc_id_token.json")).unwrap();
    let keys = KeySet::parse(vectors["jwks"].to_string().as_bytes()).unwrap();
    let text = |name: &str| vectors[name].as_str().unwrap().to_owned();
    let expected = Expected {
        issuer: text("issuer"),
        audience: text("client_id"),
        parties: Vec::new(),
        types: vec![None, Some("jwt")],
        algorithms: vec![Algorithm::Rs256, Algorithm::Es256],
    };
    let now = at(vectors["now"].as_i64().unwrap());
    let (mut accepted, mut refused) = (0, 0);
    for case in vectors["cases"].as_array().unwrap() {
        let verified = verify(case["token"].as_str().unwrap(), &keys, &expected, now);
        let is_accepted = verified.as_ref().is_ok_and(|claims| is_id_token_for(claims, &vectors));
        assert_eq!(is_accepted, case["expect"] == "accept", "{}: {verified:?}", case["name"]);
        if is_accepted { accepted += 1 } else { refused += 1 }
    }
    assert_eq!((accepted, refused), (2, 15));
}
