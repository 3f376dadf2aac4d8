/** The file in the folder of an export that lists what the export wrote. */
export const EXPORT_MANIFEST = 'rowtune_export.json';
