// The models to show: those of this computer's disk and those that others opened, each with its instances. Pure.

import type { Instance, Model } from "../generated/admin";
import { bytes } from "../parts/words";

export type Listed = { name: string; model: Model | null; instances: Instance[] };

/** Loaded ones first, then by name. */
export function listed(models: readonly Model[], instances: readonly Instance[]): Listed[] {
  const names = new Set([...models.map((model) => model.id), ...instances.map((instance) => instance.model)]);
  const all = [...names].map((name) => ({
    name,
    model: models.find((model) => model.id === name) ?? null,
    instances: instances.filter((instance) => instance.model === name),
  }));
  const loaded = (entry: Listed) => (entry.instances.length > 0 ? 0 : 1);
  return all.sort((a, b) => loaded(a) - loaded(b) || a.name.localeCompare(b.name));
}

/** What a model is, in a line. */
export function aboutText({ model }: Listed): string {
  if (!model) return "not in this computer's models folder; another computer or a folder's path opened it";
  const licence = model.licence ? `licence ${model.licence}` : "no licence stated";
  const size = bytes(model.weights_bytes);
  return [model.is_part ? `${size}, of which a part is here` : size, model.weights_format, model.family, licence].filter((text) => text).join(" · ");
}
