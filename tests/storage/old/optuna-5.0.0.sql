BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'old');
INSERT INTO "studies" VALUES(2,'both');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
INSERT INTO "study_directions" VALUES(2,'MINIMIZE',2,0);
INSERT INTO "study_directions" VALUES(3,'MAXIMIZE',2,1);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'who','"5.0.0"');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,0,0.0,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,1,1,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(3,1,2,9.31360927583913108737e-04,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(4,2,0,0.0,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(5,2,1,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(6,2,2,4.82250741229515089356e-04,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(7,3,0,0.0,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(8,3,1,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(9,3,2,2.57383302156300440045e-05,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(10,4,0,0.0,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(11,4,1,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(12,4,2,0.149305669253831,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(13,5,0,0.0,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(14,5,1,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(15,5,2,9.55766213171539702475e-05,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'lr',4.65680463791956554368e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 0.1, "log": true}}');
INSERT INTO "trial_params" VALUES(2,1,'layers',7.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO "trial_params" VALUES(3,1,'act',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", null, 3, 0.5, true]}}');
INSERT INTO "trial_params" VALUES(4,2,'lr',2.41125370614757544678e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 0.1, "log": true}}');
INSERT INTO "trial_params" VALUES(5,2,'layers',3.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO "trial_params" VALUES(6,2,'act',4.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", null, 3, 0.5, true]}}');
INSERT INTO "trial_params" VALUES(7,3,'lr',1.28691651078150220022e-05,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 0.1, "log": true}}');
INSERT INTO "trial_params" VALUES(8,3,'layers',7.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO "trial_params" VALUES(9,3,'act',4.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", null, 3, 0.5, true]}}');
INSERT INTO "trial_params" VALUES(10,4,'lr',0.0746528346269155,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 0.1, "log": true}}');
INSERT INTO "trial_params" VALUES(11,4,'layers',3.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO "trial_params" VALUES(12,4,'act',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", null, 3, 0.5, true]}}');
INSERT INTO "trial_params" VALUES(13,5,'lr',4.77883106585769851237e-05,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 0.1, "log": true}}');
INSERT INTO "trial_params" VALUES(14,5,'layers',9.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO "trial_params" VALUES(15,5,'act',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", null, 3, 0.5, true]}}');
INSERT INTO "trial_params" VALUES(16,6,'lr',0.001,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 0.1, "log": true}}');
INSERT INTO "trial_params" VALUES(17,8,'x',0.417022004702574,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(18,8,'k',17.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 64}}');
INSERT INTO "trial_params" VALUES(19,9,'x',1.1437481734488663676e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(20,9,'k',2.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 64}}');
INSERT INTO "trial_params" VALUES(21,10,'x',0.5,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(22,10,'k',2.0,'{"name": "IntDistribution", "attributes": {"log": true, "step": 1, "low": 1, "high": 64}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_system_attributes" VALUES(1,6,'fixed_params','{"lr": 0.001, "layers": 3, "act": null}');
INSERT INTO "trial_system_attributes" VALUES(2,7,'fixed_params','{"lr": 0.01}');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'note','"caf\u00e9"');
INSERT INTO "trial_user_attributes" VALUES(2,2,'note','"caf\u00e9"');
INSERT INTO "trial_user_attributes" VALUES(3,3,'note','"caf\u00e9"');
INSERT INTO "trial_user_attributes" VALUES(4,4,'note','"caf\u00e9"');
INSERT INTO "trial_user_attributes" VALUES(5,5,'note','"caf\u00e9"');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,7.00046568046379213967e+00,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,4.82250741229515089356e-04,'FINITE');
INSERT INTO "trial_values" VALUES(3,4,0,NULL,'INF_POS');
INSERT INTO "trial_values" VALUES(4,5,0,9.00004778831065799238e+00,'FINITE');
INSERT INTO "trial_values" VALUES(5,8,0,0.417022004702574,'FINITE');
INSERT INTO "trial_values" VALUES(6,8,1,17.0,'FINITE');
INSERT INTO "trial_values" VALUES(7,9,0,1.1437481734488663676e-04,'FINITE');
INSERT INTO "trial_values" VALUES(8,9,1,2.0,'FINITE');
INSERT INTO "trial_values" VALUES(9,10,0,0.5,'FINITE');
INSERT INTO "trial_values" VALUES(10,10,1,2.0,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-28 09:16:59.838333','2026-11-28 09:16:59.993809');
INSERT INTO "trials" VALUES(2,1,1,'PRUNED','2026-11-28 09:17:00.020181','2026-11-28 09:17:00.164066');
INSERT INTO "trials" VALUES(3,2,1,'FAIL','2026-11-28 09:17:00.181771','2026-11-28 09:17:00.324029');
INSERT INTO "trials" VALUES(4,3,1,'COMPLETE','2026-11-28 09:17:00.353860','2026-11-28 09:17:00.484188');
INSERT INTO "trials" VALUES(5,4,1,'COMPLETE','2026-11-28 09:17:00.505794','2026-11-28 09:17:00.595681');
INSERT INTO "trials" VALUES(6,5,1,'RUNNING','2026-11-28 09:17:00.611591',NULL);
INSERT INTO "trials" VALUES(7,6,1,'WAITING',NULL,NULL);
INSERT INTO "trials" VALUES(8,0,2,'COMPLETE','2026-11-28 09:17:00.755722','2026-11-28 09:17:00.841422');
INSERT INTO "trials" VALUES(9,1,2,'COMPLETE','2026-11-28 09:17:00.877485','2026-11-28 09:17:00.886865');
INSERT INTO "trials" VALUES(10,2,2,'COMPLETE','2026-11-28 09:17:00.888291','2026-11-28 09:17:00.888291');
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
