//! The Docker engine that SAM CLI starts its containers in.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

/// SAM CLI's label of a function's container.
const LABEL: &str = "label=sam.cli.container.type=lambda";

/// An engine that answers.
pub(super) struct Engine {
    /// By which containers reach this machine.
    pub(super) address: IpAddr,
    /// The functions' containers that were there already: of others who use SAM CLI here.
    before: BTreeSet<String>,
}

impl Engine {
    /// The engine, with the image that Lambda's runtime runs in, which is fetched where it is not there.
    ///
    /// # Errors
    /// None answers, or the image cannot be fetched.
    pub(super) async fn find(architecture: &str) -> Result<Self> {
        docker(&["version", "--format", "{{.Server.Version}}"])
            .await
            .context("no Docker engine answers, in which sam local would run the functions: start one (on Linux: sudo systemctl start docker)")?;
        let image = format!("public.ecr.aws/lambda/provided:al2023-{architecture}");
        if docker(&["image", "inspect", "--format", "{{.Id}}", &image]).await.is_err() {
            let failed =
                || format!("the image {image} is not there and cannot be fetched; .ci/sam-image makes one that is enough, without a network");
            docker(&["pull", "--quiet", &image]).await.with_context(failed)?;
        }
        // What the engine says of its network names no gateway where Docker chose it.
        let routes = docker(&["run", "--rm", "--entrypoint", "/bin/cat", &image, "/proc/net/route"]).await?;
        let address = default_gateway(&routes).context("containers have no way out: Docker's network is not the bridge that it makes itself")?;
        Ok(Self { address: address.into(), before: containers().await? })
    }

    /// How many functions' containers there are that were not when the engine was found.
    ///
    /// # Errors
    /// The engine does not say.
    pub(super) async fn new_containers(&self) -> Result<usize> {
        Ok(containers().await?.difference(&self.before).count())
    }
}

async fn containers() -> Result<BTreeSet<String>> {
    Ok(docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", LABEL]).await?.lines().map(str::to_owned).collect())
}

/// In the kernel's table of routes: addresses as the processor holds them, in hexadecimal digits.
fn default_gateway(routes: &str) -> Option<Ipv4Addr> {
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, destination, gateway, ..] = fields[..] else { return None };
        let gateway = u32::from_str_radix(gateway, 16).ok().filter(|gateway| *gateway != 0)?;
        (destination == "00000000").then(|| Ipv4Addr::from(gateway.to_ne_bytes()))
    };
    routes.lines().find_map(of_line)
}

async fn docker(arguments: &[&str]) -> Result<String> {
    let output = Command::new("docker").args(arguments).kill_on_drop(true).output().await.context("docker did not start")?;
    if !output.status.success() {
        bail!("docker {}: {}", arguments[0], String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_the_one_of_the_route_to_everywhere() {
        let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
        let local = "eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        let everywhere = format!("eth0\t00000000\t{:08X}\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", u32::from_ne_bytes([172, 17, 0, 1]));
        assert_eq!(default_gateway(&format!("{head}{local}{everywhere}")), Some(Ipv4Addr::new(172, 17, 0, 1)));
        for none in ["", head, local, "eth0", "eth0\t00000000\tgateway"] {
            assert_eq!(default_gateway(none), None, "{none}");
        }
    }
}
