// What a user of the package writes in TypeScript; it is compiled, never run.
import { BundleError, Interpreter, type Entity } from "sqz-nlu";

export async function cities(url: string): Promise<Entity[]> {
  try {
    const nlu = await Interpreter.load(url);
    const { intent, entities } = await nlu.parse("fly to paris");
    return intent.name === "fly" && intent.confidence > 0.5 ? entities.filter((e) => e.entity === "city") : [];
  } catch (error) {
    if (error instanceof BundleError) return [];
    throw error;
  }
}
