//! Where the catalog comes from that statements are judged with: the target itself, a file, or nowhere.
//!
//! What cannot be had is said, once and for every judgement made without it: a verdict without the catalog is never
//! laxer, only less exact.

use std::{path::Path, sync::Arc, time::Duration};

use abeyance_gateway::{Limits, LoadedCatalog, Target, load_catalog};
use abeyance_sql::{Catalog, Sight};

use crate::{
    args::{CatalogDumpArgs, SightArgs},
    commands,
    config::{self, Role},
    exit::Failure,
    output, wiring,
};

/// How long a target has to answer at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long its catalog may take.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A larger file is no dumped catalog.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A catalog to judge with, or why there is none.
#[derive(Debug)]
pub struct Sighted {
    pub sight: Option<Sight>,
    /// What could not be known.
    pub note: Option<String>,
}

impl Sighted {
    fn without(why: impl std::fmt::Display) -> Self {
        Self {
            sight: None,
            note: Some(format!(
                "judged by the text alone, without the target's catalog ({why}): views, triggers, overloads, types and \
                 key columns are not known"
            )),
        }
    }
}

/// The catalog for judging statements at `target`. A target that cannot be reached is no failure.
///
/// # Errors
/// When a file was named and is no catalog.
pub fn sighted(args: &SightArgs, config: &Path, target: &Target) -> Result<Sighted, Failure> {
    if let Some(file) = &args.catalog {
        return Ok(Sighted {
            sight: Some(sight(Arc::new(read(file)?), target)),
            note: None,
        });
    }
    if args.offline {
        return Ok(Sighted::without("--offline"));
    }
    Ok(match live(config, &target.name) {
        Ok(loaded) => Sighted {
            sight: Some(loaded.sight),
            note: None,
        },
        Err(why) => Sighted::without(why),
    })
}

/// A catalog as a new session of the target's login sees it.
pub fn sight(catalog: Arc<Catalog>, target: &Target) -> Sight {
    Sight {
        search_path: catalog.search_path.clone().into(),
        catalog,
        vouched: Arc::clone(&target.vouched_functions),
    }
}

/// `catalog dump`: writes a target's catalog for `--catalog`.
///
/// # Errors
/// When the target cannot be reached or the file not be written.
pub fn dump(args: &CatalogDumpArgs) -> Result<(), Failure> {
    let config = commands::load(&args.config.config, Role::Judge)?;
    let name = match &args.target {
        Some(name) => name.clone(),
        None => config
            .targets
            .first()
            .map_or_else(String::new, |t| t.name.clone()),
    };
    if !config.targets.iter().any(|target| target.name == name) {
        return Err(Failure::Usage(format!(
            "the configuration has no target called {name}"
        )));
    }
    let loaded = live(&args.config.config, &name).map_err(Failure::Unavailable)?;
    match &args.out {
        Some(file) => {
            std::fs::write(file, &loaded.json)
                .map_err(|error| Failure::Io(format!("{}: {error}", file.display())))?;
            output::remark(&format!(
                "abeyance: {} relations and {} routines of {name} are in {}",
                loaded.catalog.relations.len(),
                loaded.catalog.routines.len(),
                file.display()
            ));
        }
        None => output::line(&String::from_utf8_lossy(&loaded.json)),
    }
    Ok(())
}

/// Reads a dumped catalog.
pub fn read(file: &Path) -> Result<Catalog, Failure> {
    let unreadable =
        |error: &dyn std::fmt::Display| Failure::Io(format!("{}: {error}", file.display()));
    let length = std::fs::metadata(file)
        .map_err(|error| unreadable(&error))?
        .len();
    if length > FILE_BYTES_MAX {
        return Err(unreadable(&"it is larger than 256 MiB"));
    }
    let json = std::fs::read(file).map_err(|error| unreadable(&error))?;
    Catalog::from_json(&json).map_err(|error| unreadable(&error))
}

/// Loads the catalog of a target over a connection of its own, with the credentials the configuration points at.
pub fn live(config: &Path, target: &str) -> Result<LoadedCatalog, String> {
    let target = config::connectable(config, target)?;
    let limits = Limits {
        connect_timeout: CONNECT_TIMEOUT,
        catalog_timeout: LOAD_TIMEOUT,
        ..Limits::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no threads to run on: {error}"))?;
    runtime
        .block_on(load_catalog(wiring::target(target), &limits))
        .map_err(|error| error.to_string())
}
