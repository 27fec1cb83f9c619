//! Moto, a stand-in for AWS's own APIs: that of RDS, with a proxy and its target.
//!
//! It runs the API's actions and answers in its XML, checks no signature, and says of a target only REGISTERING, once, and then AVAILABLE.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::client::http_client;
use crate::process::free_addresses;
use crate::server::{guard, new_directory, workspace};

/// A server of moto's, ended with the test process at the latest.
#[derive(Debug)]
pub struct Moto {
    address: SocketAddr,
    child: Child,
}

/// Where `.ci/run` installs it.
fn program() -> PathBuf {
    workspace().root().join("target/lint/bin/moto_server")
}

impl Moto {
    /// Starts one.
    ///
    /// # Panics
    /// It is not installed.
    pub async fn start() -> Self {
        let program = program();
        assert!(program.exists(), "moto is missing: install it with pip install 'moto[server]' into a virtual environment at target/lint");
        let [address] = free_addresses();
        let log = new_directory().join("log");
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--port", &address.port().to_string()]).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
        let child = command.spawn().unwrap();
        guard().watch(child.id(), Signal::SIGKILL).unwrap();
        let this = Self { address, child };
        for _ in 0..600 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return this;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("moto does not listen: {}", std::fs::read_to_string(log).unwrap());
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a proxy of this name before an instance of this name, in this region.
    pub async fn make_proxy(&self, region: &str, proxy: &str, instance: &str) {
        self.act(
            region,
            &[
                ("Action", "CreateDBInstance"),
                ("DBInstanceIdentifier", instance),
                ("DBInstanceClass", "db.t4g.micro"),
                ("Engine", "postgres"),
                ("AllocatedStorage", "20"),
                ("MasterUsername", "someone"),
                ("MasterUserPassword", "some-password"),
            ],
        )
        .await;
        // The region's own network, which moto has from the start.
        let subnets = self.act_on("ec2", region, &[("Version", "2016-11-15"), ("Action", "DescribeSubnets")]).await;
        let subnet = subnets.split("<subnetId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
        self.act(
            region,
            &[
                ("Action", "CreateDBProxy"),
                ("DBProxyName", proxy),
                ("EngineFamily", "POSTGRESQL"),
                ("RoleArn", "arn:aws:iam::123456789012:role/proxy"),
                ("VpcSubnetIds.member.1", subnet),
                ("Auth.member.1.AuthScheme", "SECRETS"),
            ],
        )
        .await;
        self.act(
            region,
            &[
                ("Action", "RegisterDBProxyTargets"),
                ("DBProxyName", proxy),
                ("TargetGroupName", "default"),
                ("DBInstanceIdentifiers.member.1", instance),
            ],
        )
        .await;
    }

    async fn act(&self, region: &str, parameters: &[(&str, &str)]) {
        self.act_on("rds", region, &[&[("Version", "2014-10-31")], parameters].concat()).await;
    }

    async fn act_on(&self, service: &str, region: &str, parameters: &[(&str, &str)]) -> String {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        // By it moto tells the API and the region; it does not look at the signature.
        let scope = format!("AWS4-HMAC-SHA256 Credential=test/20261123/{region}/{service}/aws4_request, SignedHeaders=host, Signature=none");
        let request = http_client().post(self.url()).header("authorization", scope);
        let response = request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{parameters:?}: {status}: {text}");
        text
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        guard().forget(self.child.id());
    }
}
