// One file for all of them: each file starts a registry of its own, and a registry is a large program.
import './formats/avro.ts';
import './formats/avro-evolution.ts';
import './formats/bus.ts';
import './formats/json.ts';
import './formats/kafka.ts';
import './formats/protobuf.ts';
