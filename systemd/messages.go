package systemd

// MessageIDs are the fixed ids of kinds of events, by the text of the log (journald's MESSAGE_ID,
// systemd.journal-fields(7)); docs/log-fields.md lists them. An id never changes; a text may, together with this table.
var MessageIDs = map[string]string{
	"a part is not well":                                  "e761ec16cb63475491708b956214b0b6",
	"a part is well again":                                "fef1954422704949b258b9655f9021e7",
	"a part ended and is started again, for ever":         "1225e42ec7f133acacd2762531cb42c6",
	"a part makes no progress and is started again alone": "4a6455afd3262829b87f1c6d11f08912",
	"a part would not stop":                               "cc7ec27f2ec2407499ad06746926c690",
	"answering automatically":                             "237ea19e9b20e94af2a525adc0dab7e7",
	"button pressed":                                      "608a248a927198e18e03e2bda832d1eb",
	"call ended":                                          "ea4659953cdfd4ba5c3ce3323c96ec3c",
	"cannot answer without a microphone":                  "3c24148b5f3661006e298bc471cf9f95",
	"door":                                                "1cabf186e52536753828424ab4353a0e",
	"mode":                                                "c8a2aa7fbfec26d5c26efd3878f7c049",
	"no proof of progress; the watchdog is not fed":       "c5370f782c824e1e585d0c202dec83fd",
	"note":          "738ee9bb969d49153eab10d9aa5e8d5d",
	"signed in":     "226ad03239273ebbb18dcfbd1f788d2c",
	"sound is back": "11fd4279c49f8d292a3251a9876e7e9e",
	"sound is degraded; trying again for ever": "c64039762a7a9107125a0972c3624e85",
	"sound server found":                       "80c67ca39a6a70e43bcc6fc09b219a9b",
	"started":                                  "9aa45266cd6ad4aa01376ba2005204b5",
	"state":                                    "be0c9ef786dcbd8af937152155717ebf",
	"the hub refused a request":                "7b3158d2078e330d46264c6a05bd9b03",
}
