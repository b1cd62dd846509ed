//! Which agent and which target a judgement is for.

use abeyance_gateway::{Agent, Target};
use abeyance_policy::RuleSet;

use crate::{config::Config, exit::Failure, output, wiring};

/// What a judgement is made for.
pub struct Chosen {
    pub rules: RuleSet,
    pub agent: Agent,
    pub target: Target,
}

/// Takes the agent and the target of these names out of a configuration; without a name the first that goes with
/// the other.
pub fn choose(
    config: Config,
    agent: Option<&str>,
    target: Option<&str>,
) -> Result<Chosen, Failure> {
    let Config {
        agents,
        targets,
        rules,
        ..
    } = config;
    let missing = |what: &str, name: Option<&str>| {
        Failure::Usage(match name {
            Some(name) => format!("the configuration has no {what} called {name}"),
            None => format!("the configuration has no {what}"),
        })
    };
    let may = |a: &crate::config::Agent, target: &str| a.targets.iter().any(|name| name == target);
    let chosen = match agent {
        Some(name) => agents.iter().position(|a| a.name == name),
        None => target
            .and_then(|target| agents.iter().position(|a| may(a, target)))
            .or((!agents.is_empty()).then_some(0)),
    };
    let mut agents = agents;
    let agent = match chosen {
        Some(at) => agents.swap_remove(at),
        None => return Err(missing("agent", agent)),
    };
    let wanted = target.or(agent.targets.first().map(String::as_str));
    let found = targets
        .into_iter()
        .find(|t| Some(t.name.as_str()) == wanted);
    let target = found.ok_or_else(|| missing("target", wanted))?;
    if !may(&agent, &target.name) {
        output::remark(&format!(
            "abeyance: agent {} may not connect to target {}; judged as if it could",
            agent.name, target.name
        ));
    }
    Ok(Chosen {
        rules,
        agent: wiring::agent(agent),
        target: wiring::target(target),
    })
}
