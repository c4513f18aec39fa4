import type { NamespaceBase, Root, Type } from 'protobufjs';
import type { CompleteSchema } from '../registry/schema.ts';
import type { Library } from './library.ts';

/** A file with all that it imports. */
export interface ProtobufCodec {
  readonly root: Root;
  /** Full names of the file's own messages by their indexes, joined by commas. In the order of the file. */
  readonly messages: ReadonlyMap<string, string>;
}

/** What files import that declare options. */
const DESCRIPTOR = 'google/protobuf/descriptor.proto';

/** Parsed anew for each schema: a file has one place in one root. */
export function parse(
  { protobufjs, descriptor }: Library,
  { text, parts }: CompleteSchema,
  keepCase: boolean,
): ProtobufCodec {
  const root = new protobufjs.Root();
  const texts = new Map(parts.map((part) => [part.name, part.text]));
  const loaded = new Set<string>();
  const add = (source: string): void => {
    const { imports = [], weakImports = [] } = protobufjs.parse(source, root, { keepCase });
    for (const name of [...imports, ...weakImports]) {
      if (loaded.has(name)) continue;
      loaded.add(name);
      const imported = texts.get(name);
      const common = name === DESCRIPTOR ? descriptor : protobufjs.common.get(name);
      if (imported !== undefined) add(imported);
      else if (common?.nested !== undefined) root.addJSON(common.nested);
      // Options only, which nothing here looks at.
      else if (name !== 'confluent/meta.proto') {
        throw new Error(`it imports "${name}", and no reference has that name`);
      }
    }
  };
  add(text);
  root.resolveAll();
  return { root, messages: messagesOf(protobufjs, text, keepCase) };
}

/** Of this file alone: in the common root its package may hold messages of other files, too. */
function messagesOf(protobufjs: Library['protobufjs'], text: string, keepCase: boolean): Map<string, string> {
  const alone = new protobufjs.Root();
  const { package: packageName } = protobufjs.parse(text, alone, { keepCase });
  const messages = new Map<string, string>();
  const walk = (space: NamespaceBase, indexes: readonly number[]): void => {
    // Like protoc, but without the entries of maps, which no other client counts by the text of the file.
    const types = space.nestedArray.filter((one): one is Type => one instanceof protobufjs.Type);
    for (const [index, type] of types.entries()) {
      const place = [...indexes, index];
      messages.set(place.join(), type.fullName.slice(1));
      walk(type, place);
    }
  };
  walk(packageName ? (alone.lookup(packageName) as NamespaceBase) : alone, []);
  return messages;
}
