//! The manual's names for kinds of objects.

use pg_query::protobuf::ObjectType as O;

/// `TABLE`, `MATERIALIZED VIEW`, ...: what stands after CREATE, ALTER or DROP.
pub(super) fn object_name(object: i32) -> &'static str {
    match O::try_from(object) {
        Ok(O::ObjectAccessMethod) => "ACCESS METHOD",
        Ok(O::ObjectAggregate) => "AGGREGATE",
        Ok(O::ObjectAttribute) => "TYPE",
        Ok(O::ObjectCast) => "CAST",
        Ok(O::ObjectCollation) => "COLLATION",
        Ok(O::ObjectConversion) => "CONVERSION",
        Ok(O::ObjectDatabase) => "DATABASE",
        Ok(O::ObjectDefacl) => "DEFAULT PRIVILEGES",
        Ok(O::ObjectDomain | O::ObjectDomconstraint) => "DOMAIN",
        Ok(O::ObjectEventTrigger) => "EVENT TRIGGER",
        Ok(O::ObjectExtension) => "EXTENSION",
        Ok(O::ObjectFdw) => "FOREIGN DATA WRAPPER",
        Ok(O::ObjectForeignServer) => "SERVER",
        Ok(O::ObjectForeignTable) => "FOREIGN TABLE",
        Ok(O::ObjectFunction) => "FUNCTION",
        Ok(O::ObjectIndex) => "INDEX",
        Ok(O::ObjectLanguage) => "LANGUAGE",
        Ok(O::ObjectLargeobject) => "LARGE OBJECT",
        Ok(O::ObjectMatview) => "MATERIALIZED VIEW",
        Ok(O::ObjectOpclass) => "OPERATOR CLASS",
        Ok(O::ObjectOperator) => "OPERATOR",
        Ok(O::ObjectOpfamily) => "OPERATOR FAMILY",
        Ok(O::ObjectParameterAcl) => "PARAMETER",
        Ok(O::ObjectPolicy) => "POLICY",
        Ok(O::ObjectProcedure) => "PROCEDURE",
        Ok(O::ObjectPublication | O::ObjectPublicationNamespace | O::ObjectPublicationRel) => {
            "PUBLICATION"
        }
        Ok(O::ObjectRole) => "ROLE",
        Ok(O::ObjectRoutine) => "ROUTINE",
        Ok(O::ObjectRule) => "RULE",
        Ok(O::ObjectSchema) => "SCHEMA",
        Ok(O::ObjectSequence) => "SEQUENCE",
        Ok(O::ObjectSubscription) => "SUBSCRIPTION",
        Ok(O::ObjectStatisticExt) => "STATISTICS",
        Ok(O::ObjectColumn | O::ObjectDefault | O::ObjectTabconstraint | O::ObjectTable) => "TABLE",
        Ok(O::ObjectTablespace) => "TABLESPACE",
        Ok(O::ObjectTransform) => "TRANSFORM",
        Ok(O::ObjectTrigger) => "TRIGGER",
        Ok(O::ObjectTsconfiguration) => "TEXT SEARCH CONFIGURATION",
        Ok(O::ObjectTsdictionary) => "TEXT SEARCH DICTIONARY",
        Ok(O::ObjectTsparser) => "TEXT SEARCH PARSER",
        Ok(O::ObjectTstemplate) => "TEXT SEARCH TEMPLATE",
        Ok(O::ObjectType) => "TYPE",
        Ok(O::ObjectUserMapping) => "USER MAPPING",
        Ok(O::ObjectView) => "VIEW",
        Ok(O::ObjectAmop | O::ObjectAmproc | O::Undefined) | Err(_) => "OBJECT",
    }
}

/// Objects whose name's first parts are those of a relation: `DROP TRIGGER t ON patients`.
pub(super) fn belongs_to_relation(object: i32) -> bool {
    matches!(
        O::try_from(object),
        Ok(O::ObjectTrigger
            | O::ObjectRule
            | O::ObjectPolicy
            | O::ObjectColumn
            | O::ObjectTabconstraint)
    )
}
