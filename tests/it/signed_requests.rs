//! `cargo ops reset`, and with it every command that signs its requests: to the running `cargo dev`, and to an API elsewhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use local::running::{Access, Claim, DatabaseAccess, Running};
use local::sigv4::LocalCredentials;
use local::workspace::Workspace;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tests::{Api, Command, Database, Options, ServerCertificate, program, scripted};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A function that answers with its event.
const TEMPLATE: &str = "
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Parameters: {JwtIssuer: {Type: String}, JwtAudience: {Type: String}, DbHost: {Type: String}, DbName: {Type: String},
             DbClusterHost: {Type: String}, DbMasterUser: {Type: String}, DbProxyName: {Type: String}, CorsAllowedOrigins: {Type: String}}
Resources:
  Api: {Type: AWS::Serverless::HttpApi, Properties: {Auth: {EnableIamAuthorizer: true, DefaultAuthorizer: AWS_IAM}}}
  Echo:
    Type: AWS::Serverless::Function
    Metadata: {BuildProperties: {Binary: echo}}
    Properties:
      Timeout: 10
      Events: {Reset: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /api/debug/reset-db, Method: POST}}}
";

const RESET: [&str; 5] = ["reset", "--scope", "fleet", "--reason", "failover drill"];

async fn echoing(database: &Database) -> Api {
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("template.yaml");
    std::fs::write(&template, TEMPLATE).unwrap();
    let executables = [("echo".to_owned(), scripted())].into();
    Api::with(database, Options { template: Some(template), executables, ..Options::default() }).await
}

/// Says that a `cargo dev` of this checkout serves this API.
pub(crate) fn running(state: &Path, api_url: &str, operator: &LocalCredentials) -> Claim {
    let checkout = Workspace::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let claim = Claim::take(&state.join(checkout.state().file_name().unwrap())).unwrap();
    let (control_url, database_url) = (String::new(), String::new());
    let database = DatabaseAccess { admin_url: "postgres://postgres@127.0.0.1/thaw".to_owned(), proxy: None };
    let access = Access { operator, dashboard_token: None, database };
    claim.publish(&Running { pid: 1, api_url: api_url.to_owned(), control_url, database_url, data_directory: None }, access).unwrap();
    claim
}

/// The event by which the function was reached.
fn event(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

/// An environment in which nothing of this machine's own AWS configuration is found.
pub(crate) fn nowhere<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut variables = vec![
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_SESSION_TOKEN", ""),
        ("AWS_REGION", ""),
        ("AWS_DEFAULT_REGION", ""),
        ("AWS_CONFIG_FILE", "/nonexistent/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    variables.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    [variables, more.to_vec()].concat()
}

#[tokio::test]
async fn the_running_cargo_dev_is_asked_with_the_credentials_of_its_record() {
    // The first command that needs it would tell how far its build is.
    program("aws-credentials").await;
    let (state, database) = (tempfile::tempdir().unwrap(), Database::fresh().await);
    let api = echoing(&database).await;
    let _claim = running(state.path(), &api.url(), api.operator());
    let port = api.url().rsplit_once(':').unwrap().1.to_owned();
    let by_name = format!("http://localhost:{port}");
    for url in [&[][..], &["--url", &api.url()], &["--url", &by_name]] {
        let ended = Command::run(state.path(), &[&RESET, url, &["--json", "--include-busy"]].concat(), &nowhere(&[])).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{url:?}: {ended:?}");
        let event = event(&ended.stdout);
        assert_eq!(event["requestContext"]["authorizer"]["iam"]["userArn"], "arn:aws:sts::000000000000:assumed-role/thaw-local/operator");
        let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
        assert_eq!(body, json!({"scope": "fleet", "reason": "failover drill", "include_busy": true}));
    }
    let ended = Command::run(state.path(), &["reset", "--scope", "environment", "--reason", "x"], &nowhere(&[])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let facts: Vec<&str> = ended.stdout.lines().filter(|line| line.starts_with("body ") || line.starts_with("routeKey ")).collect();
    assert_eq!(facts.len(), 2, "{}", ended.stdout);
    assert!(facts[0].ends_with(r#"  {"reason":"x","scope":"environment"}"#) && facts[1].ends_with("  POST /api/debug/reset-db"), "{facts:?}");
    api.stop().await;
}

#[tokio::test]
async fn without_the_right_credentials_it_is_one_sentence_and_the_exit_code_is_1() {
    // The first command that needs it would tell how far its build is.
    program("aws-credentials").await;
    let (state, database) = (tempfile::tempdir().unwrap(), Database::fresh().await);
    let ended = Command::run(state.path(), &RESET, &nowhere(&[])).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert_eq!(ended.stderr, "error: no local API runs on this checkout: start it with cargo dev, or name a deployed one with --url");

    let api = echoing(&database).await;
    let other = LocalCredentials::generate().unwrap();
    let claim = running(state.path(), &api.url(), &other);
    for (json, stdout) in [(&[][..], ""), (&["--json"], r#"{"message":"Forbidden"}"#)] {
        let ended = Command::run(state.path(), &[&RESET, json].concat(), &nowhere(&[])).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), stdout), "{ended:?}");
        assert!(ended.stderr.starts_with("error: the API answers 403 Forbidden") && ended.stderr.lines().count() == 1, "{ended:?}");
        assert!(other.environment().values().all(|secret| !ended.stderr.contains(secret)), "{ended:?}");
    }
    drop(claim);
    assert!(api.sandboxes("echo").await.is_empty(), "the function was never reached");

    let url = api.url();
    let elsewhere = [&RESET[..], &["--url", &url]].concat();
    let in_region = [&elsewhere[..], &["--region", "eu-central-1"]].concat();
    let no_region = [&elsewhere[..], &["--region", "EU/1"]].concat();
    let keys = [("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "hidden")];
    let cases = [
        (&elsewhere, nowhere(&keys), "the API's region is not known: name it with --region"),
        (&no_region, nowhere(&keys), "\"EU/1\" is no region"),
        (&in_region, nowhere(&[]), "no AWS credentials are to be had: set AWS_PROFILE"),
        (&in_region, nowhere(&keys), "the API answers 403 Forbidden (Forbidden): the credentials need execute-api:Invoke"),
        (&in_region, nowhere(&[("AWS_PROFILE", "missing")]), "no AWS credentials are to be had"),
    ];
    for (arguments, variables, complaint) in cases {
        let ended = Command::run(state.path(), arguments, &variables).await;
        assert_eq!((ended.code, ended.stderr.lines().count()), (Some(1), 1), "{ended:?}");
        assert!(ended.stderr.contains(complaint) && !ended.stderr.contains("hidden"), "{ended:?}");
    }
    api.stop().await;
}

/// As the AWS command line has them.
#[tokio::test]
async fn an_api_elsewhere_is_asked_with_the_credentials_of_the_environment_or_of_a_profile() {
    // The first command that needs it would tell how far its build is.
    program("aws-credentials").await;
    let (state, database) = (tempfile::tempdir().unwrap(), Database::fresh().await);
    let api = echoing(&database).await;
    let keys = api.operator().environment();
    let [id, secret, token] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].map(|name| (name, keys[name].as_str()));
    let (config, credentials) = (state.path().join("config"), state.path().join("credentials.json"));
    let process = json!({"Version": 1, "AccessKeyId": id.1, "SecretAccessKey": secret.1, "SessionToken": token.1});
    std::fs::write(&credentials, process.to_string()).unwrap();
    let keys = format!("aws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}", id.1, secret.1, token.1);
    let profiles = format!(
        "[profile keys]\nregion = eu-central-1\n{keys}\n[profile process]\nregion = eu-central-1\ncredential_process = cat {}\n\
         [profile failing]\nregion = eu-central-1\ncredential_process = sh -c 'echo too late >&2; exit 1'\n",
        credentials.display()
    );
    std::fs::write(&config, profiles).unwrap();
    let config = ("AWS_CONFIG_FILE", config.to_str().unwrap());
    let failing = nowhere(&[config, ("AWS_PROFILE", "failing")]);
    let ended = Command::run(state.path(), &[&RESET[..], &["--url", &api.url()]].concat(), &failing).await;
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(1), 1), "{ended:?}");
    assert!(ended.stderr.contains("no AWS credentials are to be had") && ended.stderr.contains("too late"), "{ended:?}");
    let cases = [
        ("variables", nowhere(&[id, secret, token, ("AWS_REGION", "eu-central-1")]), &[][..]),
        ("a region of the arguments", nowhere(&[id, secret, token, ("AWS_REGION", "us-east-1")]), &["--region", "eu-central-1"]),
        ("a profile with keys", nowhere(&[config, ("AWS_PROFILE", "keys")]), &[]),
        ("a profile with a process", nowhere(&[config, ("AWS_PROFILE", "process")]), &[]),
    ];
    for (case, variables, region) in cases {
        let ended = Command::run(state.path(), &[&RESET[..], &["--json", "--url", &api.url()], region].concat(), &variables).await;
        assert_eq!(ended.code, Some(0), "{case}: {ended:?}");
        assert_eq!(event(&ended.stdout)["requestContext"]["authorizer"]["iam"]["accessKey"], id.1, "{case}");
    }
    api.stop().await;
}

/// TLS before an API, with the server's certificate.
async fn encrypted(api: &Api, certificate: &ServerCertificate) -> u16 {
    let [chain, key] = certificate.chain_and_key();
    let chain = CertificateDer::pem_file_iter(chain).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let api = api.url().trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, api) = (acceptor.clone(), api.clone());
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await?;
                tokio::io::copy_bidirectional(&mut client, &mut TcpStream::connect(api).await?).await
            });
        }
    });
    port
}

#[tokio::test]
async fn over_https_the_servers_certificate_has_to_be_trusted_on_this_machine() {
    // The first command that needs it would tell how far its build is.
    program("aws-credentials").await;
    let (state, database) = (tempfile::tempdir().unwrap(), Database::fresh().await);
    let (api, certificate) = (echoing(&database).await, ServerCertificate::generate());
    let port = encrypted(&api, &certificate).await;
    let keys = api.operator().environment();
    let keys = keys.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>();
    let authority: PathBuf = certificate.authority();
    let trusting = [&keys[..], &[("SSL_CERT_FILE", authority.to_str().unwrap())]].concat();
    for (variables, host, trusted) in [(&trusting, "localhost", true), (&keys, "localhost", false), (&trusting, "127.0.0.2", false)] {
        let url = format!("https://{host}:{port}");
        let arguments = [&RESET[..], &["--json", "--region", "eu-central-1", "--url", &url]].concat();
        let ended = Command::run(state.path(), &arguments, &nowhere(variables)).await;
        assert_eq!(ended.code, Some(if trusted { 0 } else { 1 }), "{host}: {ended:?}");
        if trusted {
            assert_eq!(event(&ended.stdout)["headers"]["host"], format!("localhost:{port}"));
        } else {
            assert!(ended.stderr.starts_with(&format!("error: {url} cannot be reached")) && ended.stderr.lines().count() == 1, "{ended:?}");
        }
    }
    api.stop().await;
}
