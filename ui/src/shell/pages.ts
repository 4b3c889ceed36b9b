// Every page of the window, once. A further page is a file of its own and a line here.

import type { Component } from "svelte";
import ChatPage from "../chat/ChatPage.svelte";
import ClusterPage from "../cluster/ClusterPage.svelte";
import ConnectPage from "../connect/ConnectPage.svelte";
import ModelsPage from "../models/ModelsPage.svelte";
import PlacementPage from "../placement/PlacementPage.svelte";
import type { Download, Membership, State } from "../generated/admin";
import SettingsPage from "../settings/SettingsPage.svelte";

/** What every page is given: the cluster, its members and the downloads as they are now, and what the address says after the page's name. */
export type PageProps = { cluster: State; membership: Membership; downloads: Download[]; argument: string | null };

export type Page = {
  id: string;
  title: string;
  /** The path of its picture in the navigation, 20 by 20; a page without one is reached from another page. */
  icon: string | null;
  /** The page that the navigation shows as the current one. */
  under: string;
  component: Component<PageProps>;
};

export const PAGES: readonly Page[] = [
  {
    id: "cluster",
    title: "Cluster",
    icon: "M3 3.5h5.5V8H3zM11.5 3.5H17V8h-5.5zM7.25 12.5h5.5V17h-5.5zM8.5 5.75h3M5.75 8c0 3 4.25 1.5 4.25 4.5M14.25 8c0 3-4.25 1.5-4.25 4.5",
    under: "cluster",
    component: ClusterPage,
  },
  {
    id: "models",
    title: "Models",
    icon: "M3.5 6.5 10 3l6.5 3.5L10 10zM3.5 10 10 13.5 16.5 10M3.5 13.5 10 17l6.5-3.5",
    under: "models",
    component: ModelsPage,
  },
  { id: "placement", title: "Placement", icon: null, under: "models", component: PlacementPage },
  {
    id: "chat",
    title: "Chat",
    icon: "M4 4.5h12a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1H9.5L6 16.5v-3H4a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1z",
    under: "chat",
    component: ChatPage,
  },
  {
    id: "connect",
    title: "Connect",
    icon: "M8 12l4-4M9 6.5l1.5-1.5a3.2 3.2 0 0 1 4.5 4.5L13.5 11M11 13.5 9.5 15A3.2 3.2 0 0 1 5 10.5L6.5 9",
    under: "connect",
    component: ConnectPage,
  },
  {
    id: "settings",
    title: "Settings",
    icon: "M3 6h8M15 6h2M3 14h2M9 14h8M13 4v4M7 12v4",
    under: "settings",
    component: SettingsPage,
  },
];
